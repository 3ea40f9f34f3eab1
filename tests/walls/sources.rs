//! The sources of the project, read as Rust: what each file imports, and how long it is.

use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{ItemFn, ItemMod, ItemUse, UseTree};

/// A source file.
pub(crate) struct Source {
    /// Its path below the project's directory.
    pub(crate) name: String,
    /// The path of its module: `crate::daemon::engine`.
    pub(crate) module: String,
    pub(crate) lines: usize,
    pub(crate) text: String,
    /// The paths that it uses, each from `crate` or from the name of a crate.
    pub(crate) imports: Vec<String>,
    pub(crate) has_async: bool,
}

impl Source {
    /// The room of the agent that it is in.
    pub(crate) fn room(&self) -> &str {
        self.module.split("::").nth(1).unwrap_or_default()
    }

    /// True for a file of the library that both halves share.
    pub(crate) fn is_shared_library(&self) -> bool {
        const SHARED: [&str; 8] = ["lib", "abi", "advert", "checksum", "election", "frame", "arp", "nd"];
        SHARED.iter().any(|file| self.name == format!("vrrp-ebpf/src/{file}.rs"))
    }
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are in a directory of the project")
        .to_owned()
}

/// The files of the agent.
pub(crate) fn agent() -> impl Iterator<Item = Source> {
    all().filter(|source| source.name.starts_with("vrrp-agent/src/"))
}

/// Every file of the project.
pub(crate) fn all() -> impl Iterator<Item = Source> {
    let project = project();
    let mut files = Vec::new();
    for directory in ["vrrp-agent", "vrrp-ebpf", "tests", "xtask"] {
        find(&project.join(directory), &mut files);
    }
    assert!(files.len() > 100, "only {} files are found in {}", files.len(), project.display());
    files.into_iter().map(move |file| read(&project, &file))
}

fn find(directory: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            find(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn read(project: &Path, file: &Path) -> Source {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let tree = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let name = file.strip_prefix(project).expect("below the project").display().to_string();
    let module = module_of(&name);
    let mut reader = Reader { modules: vec![module.clone()], imports: Vec::new(), has_async: false };
    reader.visit_file(&tree);
    let Reader { imports, has_async, .. } = reader;
    Source { name, module, lines: text.lines().count(), text, imports, has_async }
}

/// `vrrp-agent/src/daemon/engine.rs` is `crate::daemon::engine`, `…/daemon/mod.rs` is `crate::daemon`.
fn module_of(name: &str) -> String {
    let inside = name.split_once("/src/").map_or(name, |(_, inside)| inside);
    let inside = inside.trim_end_matches(".rs").trim_end_matches("/mod");
    match inside {
        "lib" | "main" => "crate".to_owned(),
        inside => format!("crate::{}", inside.replace('/', "::")),
    }
}

struct Reader {
    /// The module that is being read, and those around it.
    modules: Vec<String>,
    imports: Vec<String>,
    has_async: bool,
}

impl Reader {
    /// A path as it is written, as a path from `crate` or a crate's name.
    fn absolute(&self, parts: &[String]) -> String {
        let mut module: Vec<&str> = self.modules.last().map_or("crate", String::as_str).split("::").collect();
        match parts.first().map(String::as_str) {
            Some("self") => [&module[..], &as_text(&parts[1..])].concat().join("::"),
            Some("super") => {
                let ups = parts.iter().take_while(|part| *part == "super").count();
                module.truncate(module.len().saturating_sub(ups).max(1));
                [&module[..], &as_text(&parts[ups..])].concat().join("::")
            }
            _ => parts.join("::"),
        }
    }

    fn take(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: String| [before, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.take(&path.tree, &with(path.ident.to_string())),
            UseTree::Name(name) => self.imports.push(self.absolute(&with(name.ident.to_string()))),
            UseTree::Rename(name) => self.imports.push(self.absolute(&with(name.ident.to_string()))),
            UseTree::Glob(_) => self.imports.push(self.absolute(before)),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.take(item, before)),
        }
    }
}

fn as_text(parts: &[String]) -> Vec<&str> {
    parts.iter().map(String::as_str).collect()
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.take(&item.tree, &[]);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let inner = format!("{}::{}", self.modules.last().map_or("crate", String::as_str), item.ident);
        self.modules.push(inner);
        visit::visit_item_mod(self, item);
        self.modules.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.has_async |= item.sig.asyncness.is_some();
        visit::visit_item_fn(self, item);
    }

    /// Paths that are used where they stand.
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            if ["crate", "super", "self", "std", "tokio", "nix"].contains(&parts[0].as_str()) {
                self.imports.push(self.absolute(&parts));
            }
        }
        visit::visit_path(self, path);
    }
}
