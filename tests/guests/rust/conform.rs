// WASI preview 1 as Rust's standard library uses it. The first argument is the check to make;
// `files` wants the assets that tests/api/test_wasi.py gives it.
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant, SystemTime};

fn args() {
    let all: Vec<String> = std::env::args().collect();
    assert_eq!(&all[1..], ["args", "two words", "", "höhe"]);
}

fn environment() {
    assert_eq!(std::env::var("COLOUR").unwrap(), "deep blue");
    assert!(std::env::var("NOTHING").is_err());
}

fn clocks() {
    let begun = Instant::now();
    let wall = SystemTime::now();
    std::thread::sleep(Duration::from_millis(30));
    assert!(begun.elapsed() >= Duration::from_millis(29));
    assert!(wall.elapsed().unwrap() >= Duration::from_millis(29));
    std::thread::yield_now();
}

fn stdio() {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).unwrap();
    assert_eq!(text, "ready");
    assert_eq!(io::stdin().read(&mut [0; 4]).unwrap(), 0);
    io::stdout().write_all(b"").unwrap();
    io::stderr().write_all(b"to the log\n").unwrap();
}

fn names(folder: &str) -> Vec<String> {
    let mut all: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    all.sort();
    all
}

fn files() {
    assert_eq!(fs::read_to_string("/index.html").unwrap(), "<p>hello</p>\n");
    assert_eq!(fs::read_to_string("/folder/../index.html").unwrap(), "<p>hello</p>\n");
    assert_eq!(names("/"), ["empty", "folder", "index.html", "large"]);
    assert_eq!(names("/folder").len(), 300);
    assert_eq!(names("/empty").len(), 0);
    assert_eq!(fs::read("/folder/200").unwrap(), b"200");

    let info = fs::metadata("/large").unwrap();
    assert!(info.is_file() && info.len() == 1_000_000);
    assert!(fs::metadata("/folder").unwrap().is_dir());
    let large = fs::read("/large").unwrap();
    assert!(large.iter().enumerate().all(|(i, b)| *b == (i % 251) as u8));
    let mut file = File::open("/large").unwrap();
    let mut some = [0; 10];
    file.seek(SeekFrom::End(-5)).unwrap();
    assert_eq!(file.read(&mut some).unwrap(), 5);
    assert_eq!(file.read(&mut some).unwrap(), 0);
    assert_eq!(file.seek(SeekFrom::Start(251)).unwrap(), 251);
    assert_eq!(file.read(&mut some).unwrap(), 10);
    assert_eq!(some, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(file.stream_position().unwrap(), 261);
    assert!(file.seek(SeekFrom::Current(-300)).is_err());
    assert!(file.write(b"x").is_err());
}

fn refused() {
    let kind = |r: io::Result<()>| r.unwrap_err().raw_os_error().unwrap();
    const ENOENT: i32 = 44;
    const ENOTDIR: i32 = 54;
    const EROFS: i32 = 69;
    assert_eq!(kind(File::open("/etc/passwd").map(|_| ())), ENOENT);
    assert_eq!(kind(File::create("/new").map(|_| ())), EROFS);
    assert_eq!(kind(fs::write("/new", "x")), EROFS);
    assert_eq!(kind(fs::create_dir("/new")), EROFS);
    assert_eq!(kind(fs::remove_file("/dev/null")), EROFS);
    assert_eq!(kind(fs::rename("/dev", "/new")), EROFS);
    assert_eq!(kind(fs::read_dir("/dev/null").map(|_| ())), ENOTDIR);
    assert_eq!(fs::read("/dev/null").unwrap(), b"");
    assert_eq!(
        File::open("nowhere/at/all").unwrap_err().kind(),
        ErrorKind::NotFound
    );
    // a path that leaves the root: whatever the library makes of it, nothing is found
    assert!(File::open("/../../etc/passwd").is_err());
    assert_eq!(names("/dev"), ["null", "random", "urandom", "zero"]);
}

fn main() {
    let which = std::env::args().nth(1).unwrap_or_default();
    match which.as_str() {
        "args" => args(),
        "environment" => environment(),
        "clocks" => clocks(),
        "stdio" => stdio(),
        "files" => files(),
        "refused" => refused(),
        "exit" => std::process::exit(33),
        _ => panic!("which check?"),
    }
    println!("{which} ok");
}
