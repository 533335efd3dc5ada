// A CGI program of Rust's standard library alone: a hello, and an echo of the body in capitals.
use std::io::{Read, Write};

fn main() {
    let var = |name| std::env::var(name).unwrap_or_default();
    let mut body = String::new();
    std::io::stdin().read_to_string(&mut body).unwrap();
    let mut out = std::io::stdout().lock();
    write!(out, "Content-Type: text/plain\n\n").unwrap();
    if body.is_empty() {
        writeln!(out, "hello from {} {}", var("REQUEST_METHOD"), var("PATH_INFO")).unwrap();
    } else {
        writeln!(out, "{}", body.to_uppercase()).unwrap();
    }
    eprintln!("read {} bytes", body.len());
}
