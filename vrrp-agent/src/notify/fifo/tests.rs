use std::io::{BufRead as _, BufReader, Read as _};

use super::*;

/// A directory that is removed with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("vrrp-fifo-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn settings(&self) -> config::Fifo {
        config::Fifo { path: self.0.join("fifo"), owner: None, reader: None }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(300)
}

/// Returns what another process would read by now.
async fn read(path: &Path) -> String {
    sleep(Duration::from_millis(100)).await;
    let mut file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path).unwrap();
    let mut text = Vec::new();
    // This process has the FIFO open for writing too, so the read ends because nothing is there, not at an end of the file.
    let _nothing_more = file.read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn lines_wait_for_a_reader_and_for_the_next() {
    let directory = Directory::new("lines");
    let settings = directory.settings();
    let fifo = Fifo::open(&settings).unwrap();
    fifo.write("one\n".to_owned());
    fifo.write("two\n".to_owned());
    assert_eq!(read(&settings.path).await, "one\ntwo\n");
    fifo.write("three\n".to_owned());
    assert_eq!(read(&settings.path).await, "three\n");
    fifo.finish(soon()).await;
}

#[tokio::test]
async fn what_was_made_is_private_and_removed_and_what_was_found_is_neither() {
    let directory = Directory::new("origin");
    let settings = directory.settings();
    let mode = || settings.path.metadata().unwrap().permissions().mode() & 0o777;
    let made = Fifo::open(&settings).unwrap();
    assert_eq!(mode(), 0o600);
    made.finish(soon()).await;
    assert!(!settings.path.exists());
    mkfifo(&settings.path, Mode::empty()).unwrap();
    std::fs::set_permissions(&settings.path, Permissions::from_mode(0o640)).unwrap();
    let found = Fifo::open(&settings).unwrap();
    assert_eq!(mode(), 0o640);
    found.finish(soon()).await;
    assert!(settings.path.exists());
}

#[tokio::test]
async fn no_other_file_and_no_link_is_written_to() {
    let directory = Directory::new("other");
    let settings = directory.settings();
    std::fs::write(&settings.path, "precious").unwrap();
    assert!(matches!(Fifo::open(&settings).unwrap_err(), FifoError::NotAFifo));
    assert_eq!(std::fs::read_to_string(&settings.path).unwrap(), "precious");
    std::fs::remove_file(&settings.path).unwrap();
    let target = directory.0.join("target");
    mkfifo(&target, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    std::os::unix::fs::symlink(&target, &settings.path).unwrap();
    assert!(matches!(Fifo::open(&settings).unwrap_err(), FifoError::System(_)));
}

#[tokio::test]
async fn one_that_somebody_replaced_is_another() {
    let directory = Directory::new("replaced");
    let settings = directory.settings();
    let fifo = Fifo::open(&settings).unwrap();
    assert!(fifo.is_at(&settings.path));
    let other = directory.0.join("other");
    mkfifo(&other, Mode::S_IRUSR).unwrap();
    std::fs::rename(other, &settings.path).unwrap();
    assert!(!fifo.is_at(&settings.path));
    fifo.finish(soon()).await;
    assert!(settings.path.exists(), "it is not ours to remove");
}

#[tokio::test]
async fn a_flood_that_nobody_reads_keeps_the_last_lines_whole_and_in_order() {
    const LINES: usize = 20_000;
    let directory = Directory::new("flood");
    let settings = directory.settings();
    let fifo = Fifo::open(&settings).unwrap();
    for number in 0..LINES {
        fifo.write(format!("INSTANCE \"A\" MASTER {number}\n"));
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let path = settings.path.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let number =
            |line: String| line.rsplit(' ').next().and_then(|word| word.parse::<usize>().ok()).unwrap();
        let lines = BufReader::new(File::open(path).unwrap()).lines().map(|line| number(line.unwrap()));
        let mut numbers = Vec::new();
        for number in lines {
            numbers.push(number);
            if number == LINES - 1 {
                break;
            }
        }
        numbers
    });
    let numbers = timeout(Duration::from_secs(20), reading).await.expect("the last line arrives").unwrap();
    assert!(numbers.windows(2).all(|two| two[0] < two[1]));
    assert!(numbers.len() >= WAITING_MAX && numbers.len() < LINES, "{}", numbers.len());
    fifo.finish(soon()).await;
}

#[tokio::test]
async fn its_reader_is_started_again_and_ended() {
    process::identity::look_up([]).await;
    let directory = Directory::new("reader");
    let settings = directory.settings();
    let log = directory.0.join("log");
    let script = directory.0.join("reader");
    // The reader ends after each line.
    std::fs::write(&script, format!("#!/bin/sh\nread line < $1\necho \"$line\" >> {}\n", log.display()))
        .unwrap();
    std::fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let program = Program { command: vec![script.display().to_string()], user: None };
    let mut fifo = Fifo::open(&settings).unwrap();
    fifo.set_reader(Some(&program), ScriptSecurity::Off);
    fifo.write("one\n".to_owned());
    sleep(PAUSE_MIN / 2).await;
    fifo.write("two\n".to_owned());
    sleep(2 * PAUSE_MIN).await;
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "one\ntwo\n");
    let start = Instant::now();
    fifo.finish(soon()).await;
    assert!(start.elapsed() < 2 * READER_TIMEOUT);
}
