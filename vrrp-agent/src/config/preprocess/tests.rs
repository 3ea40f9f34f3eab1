//! Tests of the lines that the preprocessor makes of files.

use std::path::PathBuf;

use super::super::diagnostic::Severity;
use super::super::files::Memory;
use super::*;

/// The result: the lines, the diagnostics with file, line and column, and the paths that were read.
struct Outcome {
    lines: Vec<String>,
    complaints: Vec<(Severity, String, (usize, usize), String)>,
    asked: Vec<PathBuf>,
}

fn run(files: &[(&str, &str)]) -> Outcome {
    let memory = Memory::new(files.iter().copied());
    let mut context = Context {
        id: "bar".to_owned(),
        random: Box::new(|range| *range.start()),
        environment: Box::new(|_name| None),
        includes: Includes::AsWritten,
    };
    let mut sources = Sources::default();
    let mut diagnostics = Vec::new();
    let lines = read(Path::new(files[0].0), &mut context, &memory, &mut sources, &mut diagnostics)
        .unwrap_or_default();
    let complaints = diagnostics
        .into_iter()
        .map(|diagnostic| {
            let path = sources.path(diagnostic.span.file).display().to_string();
            (diagnostic.severity, path, sources.position(diagnostic.span), diagnostic.message)
        })
        .collect();
    let lines = lines.iter().map(|line| line.as_str().trim_matches(is_space).to_owned()).collect();
    Outcome { lines, complaints, asked: memory.asked() }
}

/// Returns the lines of one file that causes no diagnostics.
fn lines(text: &str) -> Vec<String> {
    let outcome = run(&[("/k/main.conf", text)]);
    assert!(outcome.complaints.is_empty(), "{text}: {:?}", outcome.complaints);
    outcome.lines
}

/// Returns the only diagnostic about one file.
fn complaint(text: &str) -> (Severity, (usize, usize), String) {
    let outcome = run(&[("/k/main.conf", text)]);
    let [(severity, _, position, message)] = &outcome.complaints[..] else {
        panic!("one complaint: {:?}", outcome.complaints)
    };
    (*severity, *position, message.clone())
}

/// Observed with keepalived 2.2.7 and `-i bar`. (keepalived too compares `@${_INSTANCE}` without replacing the reference.)
#[test]
fn conditions_keep_or_drop_a_line() {
    let text =
        "@foo no\n@^foo yes1\n@bar  yes2\n@\n@bar\n@ no\n@^ yes3\n@${_INSTANCE} no\n @bar @^foo yes4\n";
    assert_eq!(lines(text), ["yes1", "yes2", "yes3", "yes4"]);
    assert_eq!(lines("$IF=@foo\n$T=@bar\n$IF no\n$T yes\n"), ["yes"]);
    assert_eq!(lines("@bar $R=6\n@foo $R=7\n${R}\n"), ["6"]);
}

/// Observed with keepalived 2.2.7.
#[test]
fn definitions_are_expanded_where_they_are_used() {
    let text = "$A=10.0\n$B=${A}.0\n  $D=  spaced  value   # comment\n$E=\"quoted # x\"\n$H=#foo\n\
                ${B}.1\n$A=20.0\n${B}.1\nd $D d\np${D}q\ne $E e\n${H}z\n";
    let expected =
        ["10.0.0.1", "20.0.0.1", "d spaced  value d", "pspaced  valueq", "e \"quoted # x\" e", "z"];
    assert_eq!(lines(text), expected);
}

/// Observed with keepalived 2.2.7: comments, conditions, definitions and sequences within definitions. A blank line ends a
/// definition.
#[test]
fn definitions_of_several_lines() {
    let text = "$C= \\\n  one o2 \\\n two # com \\\n @foo no \\\n @bar yes \\\n three\n$C\n@bar ${C}\n";
    let once = ["one o2", "two", "yes", "three"];
    assert_eq!(lines(text), [once, once].concat());
    assert_eq!(lines("$D= x \\\n  y\n$D\n"), ["x", "y"]);
    assert_eq!(lines("$B= \\\n b1 \\\n\n b2\n$B\nx${B}y\n"), ["b2", "b1", "xb1y"]);
    let text = "$S= \\\n ~SEQ(K,1,2) k${K}.${L} \\\n z\n~SEQ(L,8,9) $S\n";
    assert_eq!(lines(text), ["k1.8", "k2.8", "z", "k1.9", "k2.9", "z"]);
    // Worked out by hand: keepalived would read the two lines as statements, which no user can intend.
    assert_eq!(lines("@foo $X= \\\n a \\\n b\nc\n"), ["c"]);
}

/// From keepalived.conf(5): nested definitions, with a name that is defined within them.
#[test]
fn definitions_within_definitions() {
    let text = "$RS= \\\nreal ${VS}.${RS_NUM} { \\\n weight 1 \\\n}\n\
                $V= \\\nvirtual ${VS} { \\\n $RS_NUM=1 \\\n $RS \\\n $RS_NUM=2 \\\n $RS \\\n}\n$VS=7\n$V\n";
    let expected = ["virtual 7 {", "real 7.1 {", "weight 1", "}", "real 7.2 {", "weight 1", "}", "}"];
    assert_eq!(lines(text), expected);
}

/// Observed with keepalived 2.2.7. The variables keep their last values.
#[test]
fn sequences_read_the_rest_again() {
    let text = "$Q=5\n~SEQ(A,1,2) ~SEQ(B,1,2) s${A}.${B}\n~SEQ(H,$Q)h${H}\n~SEQx(I,9,10) i${I} $I j\n\
                ~LST(P,1,2)~LST(R,3,4) z${P}${R}\n~SEQ(Q,1,2) q${Q}\nq ${Q}\n@bar ~SEQ(N,1,1) n${N}\n\
                ~LST({X,Y},{a,b},{c,d}) l${X}${Y}\n~XYZ(a)\n";
    let expected = [
        "s1.1", "s1.2", "s2.1", "s2.2", "h1", "h2", "h3", "h4", "h5", "i9 9 j", "ia a j", "z13", "z14",
        "z23", "z24", "q1", "q2", "q 2", "n1", "lab", "lcd", "~XYZ(a)",
    ];
    assert_eq!(lines(text), expected);
    let text = "$L=~LST(K,x,y) k${K}\n$L\n$V=a,b\n~LST(M,${V}) m${M}\n";
    assert_eq!(lines(text), ["kx", "ky", "ma", "mb"], "by hand");
}

#[test]
fn places_are_where_the_user_wrote() {
    let text = "$A=value\n$C= \\\n first $A \\\n second\n$C\nuse $A\n";
    let memory = Memory::new([("/k", text)]);
    let mut context = Context {
        id: String::new(),
        random: Box::new(|range| *range.start()),
        environment: Box::new(|_name| None),
        includes: Includes::AsWritten,
    };
    let mut sources = Sources::default();
    let mut diagnostics = Vec::new();
    let lines =
        read(Path::new("/k"), &mut context, &memory, &mut sources, &mut diagnostics).unwrap_or_default();
    let places: Vec<(String, (usize, usize))> = lines
        .iter()
        .map(|line| {
            let last = line.as_str().rfind(' ').map_or(0, |at| at + 1);
            (line.as_str().to_owned(), sources.position(line.span(last..line.len())))
        })
        .collect();
    let expected = [(" first value", (3, 8)), (" second", (4, 2)), ("use value", (6, 5))];
    let found: Vec<(&str, (usize, usize))> =
        places.iter().map(|(text, position)| (text.as_str(), *position)).collect();
    // The place of a line of a definition begins at its first word.
    let expected = expected.map(|(text, position)| (text.trim_start(), position));
    assert_eq!(found, expected);
}

#[test]
fn complaints_of_lines() {
    let warning = |text: &str| {
        let (severity, position, message) = complaint(text);
        assert_eq!(severity, Severity::Warning, "{message}");
        (position, message)
    };
    assert_eq!(warning("a\n b ${U} c\n"), ((2, 4), "`$U` is not defined".to_owned()));
    assert_eq!(warning("a \\\nb\n"), ((1, 3), "a statement ends with its line".to_owned()));
    assert_eq!(warning(&"x".repeat(1024)), ((1, 1), "a line of 1024 bytes".to_owned()));
    assert_eq!(lines("t\\\nd # com \\\n"), ["t\\", "d"]);
    assert!(warning("$C= \\\n a \\\n b\nx $C y\n").1.contains("has several lines"));
    for (text, position, message) in [
        ("~SEQ(A,1,0,3) x\n", (1, 1), "not a sequence"),
        (" ~LST(A,1 x\n", (1, 2), "is not closed"),
        ("$A=${A}x\n x ${A}\n", (2, 4), "refers to itself"),
        ("$A=$A\n$A\n", (2, 1), "refers to itself"),
        ("$A= \\\n x \\\n $A\n$A\n", (2, 2), "without an end"),
        ("~SEQ(A,1,2000) ~SEQ(B,1,2000) @foo x\n", (1, 30), "more than 1000000 lines"),
    ] {
        let (severity, found, text) = complaint(text);
        assert_eq!(severity, Severity::Error);
        assert!(text.contains(message), "{message}: {text}");
        if !message.contains("without an end") {
            assert_eq!(found, position, "{message}");
        }
    }
}

/// Observed with keepalived 2.2.7: `${_PWD}` and names without a leading `/` refer to the directory of the file that is read.
/// Definitions stay after the included file. Alternatives are read in their order, and the files that match a wildcard are
/// sorted. References are replaced first, although keepalived.conf(5) says that they are not.
#[test]
fn files_are_included() {
    let files = [
        ("/k/main.conf", ""),
        ("/k/inc/a.conf", "i1 ${_PWD}\ninclude sub/b.conf\ni2 ${_PWD}\n"),
        ("/k/inc/sub/b.conf", "s1 ${_PWD} ${V}\n$W=new"),
        ("/k/inc/c.conf", "c1\n"),
        ("/k/other/z.conf", "z1\n"),
    ];
    let with = |text: &str| {
        let text = format!("$V=val\n$F=c\n$I=include\n{text}\n");
        let files: Vec<(&str, &str)> =
            [("/k/main.conf", text.as_str())].into_iter().chain(files[1..].iter().copied()).collect();
        let outcome = run(&files);
        (outcome.lines, outcome.complaints.len(), outcome.asked)
    };
    let a = ["i1 /k/inc", "s1 /k/inc/sub val", "i2 /k/inc"];
    for (text, expected, complaints) in [
        ("include inc/a.conf\n$W", [&a[..], &["new"][..]].concat(), 0),
        ("include inc/[ac].conf", [&a[..], &["c1"][..]].concat(), 0),
        ("include inc/{c,zz,a}.conf # x", [&["c1"][..], &a[..]].concat(), 1),
        ("include\tinc/${F}.conf", vec!["c1"], 0),
        ("@bar include inc/c.conf\n@foo include inc/a.conf", vec!["c1"], 0),
        ("$I inc/c.conf", vec!["c1"], 0),
        ("include /k/other/*", vec!["z1"], 0),
        ("include none.conf", vec![], 1),
        ("include inc/n*.conf", vec![], 0),
        ("includem inc/n*.conf", vec![], 0),
        ("includeme inc/c.conf", vec!["includeme inc/c.conf"], 0),
        ("include", vec!["include"], 0),
        ("\"include\" inc/c.conf", vec!["\"include\" inc/c.conf"], 0),
    ] {
        let (lines, count, asked) = with(text);
        assert_eq!(lines, expected, "{text}");
        assert_eq!(count, complaints, "{text}");
        assert!(!text.contains("@foo") || asked == [PathBuf::from("/k/main.conf"), "/k/inc/c.conf".into()]);
    }
}

/// Observed with keepalived 2.2.7: the cases that end with a configuration error. `include_check`, and braces with `includem`,
/// are worked out by hand.
#[test]
fn which_includes_are_errors() {
    let failed = |text: &str| {
        let outcome = run(&[("/k/main.conf", text), ("/k/c.conf", "c\n")]);
        outcome.complaints.iter().any(|(severity, ..)| *severity == Severity::Error)
    };
    for (text, expected) in [
        ("include none.conf", false),
        ("includer none.conf", false),
        ("includer n*.conf", false),
        ("includem none.conf", true),
        ("includem n*.conf", false),
        ("includew n*.conf", true),
        ("includew none.conf", true),
        ("includeb {c,zz}.conf", true),
        ("includem {c,zz}.conf", false),
        ("includea {c,zz}.conf", true),
        ("includea n*", true),
        ("includea c.conf", false),
        ("include_check match\ninclude none.conf", true),
        ("include_check -match\ninclude none.conf", false),
    ] {
        assert_eq!(failed(text), expected, "{text}");
    }
}

/// Observed with keepalived 2.2.7.
#[test]
fn all_that_is_included_must_be_there_if_that_is_asked_for() {
    for (line, expected) in [
        ("include none.conf", true),
        ("include n*.conf", true),
        ("include {c,zz}.conf", true),
        ("include c.conf", false),
    ] {
        let memory = Memory::new([("/k/main.conf", line), ("/k/c.conf", "c\n")]);
        let mut context = Context {
            id: String::new(),
            random: Box::new(|range| *range.start()),
            environment: Box::new(|_name| None),
            includes: Includes::AllOfThem,
        };
        let mut diagnostics = Vec::new();
        let main = Path::new("/k/main.conf");
        read(main, &mut context, &memory, &mut Sources::default(), &mut diagnostics).expect("a file");
        let failed = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        assert_eq!(failed, expected, "{line}");
    }
}

#[test]
fn a_file_that_includes_itself_is_an_error() {
    let outcome = run(&[("/k/main.conf", "include main.conf\n")]);
    let [(Severity::Error, path, (1, 1), message)] = &outcome.complaints[..] else {
        panic!("one complaint: {:?}", outcome.complaints)
    };
    assert!(path == "/k/main.conf" && message.contains("include itself"), "{path}: {message}");
    assert_eq!(outcome.asked.len(), 17);
}

#[test]
fn a_main_file_that_is_not_there() {
    let memory = Memory::default();
    let mut context = Context {
        id: String::new(),
        random: Box::new(|range| *range.start()),
        environment: Box::new(|_name| None),
        includes: Includes::AsWritten,
    };
    let mut sources = Sources::default();
    let mut diagnostics = Vec::new();
    assert!(
        read(Path::new("/none"), &mut context, &memory, &mut sources, &mut diagnostics)
            .unwrap_or_default()
            .is_empty()
    );
    assert!(diagnostics[0].message.contains("/none"), "{diagnostics:?}");
    assert_eq!(sources.position(diagnostics[0].span), (1, 1));
}
