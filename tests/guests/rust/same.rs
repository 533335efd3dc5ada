// The work that a program of every ABI does, with the same answer (see cwa/same.c), in plain Rust:
// resources are files.
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};

fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |total: u32, b| total.wrapping_mul(31).wrapping_add(*b as u32))
}

fn show(what: &str, n: usize, total: u32) {
    println!("{what} {n} bytes, sum {total}");
}

fn some(path: &str) -> Vec<u8> {
    let mut bytes = [0; 16];
    let n = File::open(path).and_then(|mut file| file.read(&mut bytes)).unwrap();
    bytes[..n].to_vec()
}

fn main() {
    print!("Content-Type: text/plain\n\n");
    let mut body = Vec::new();
    std::io::stdin().read_to_end(&mut body).unwrap();
    show("body", body.len(), sum(&body));

    let mut null = OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
    show("null", null.write(&body[..body.len().min(16)]).unwrap() + some("/dev/null").len(), 0);
    let zeros = some("/dev/zero");
    show("zero", zeros.len(), sum(&zeros));
    show("random", some("/dev/urandom").len(), 0);
    let mut log = OpenOptions::new().write(true).open("/net/log/?prefix=same").unwrap();
    show("log", log.write(b"a line\n").unwrap(), 0);

    if body.starts_with(b"open ") {
        let line = body[5..].split(|b| *b == b'\n').next().unwrap();
        let path = String::from_utf8_lossy(line).replacen("://", "/", 1);
        match File::open(format!("/net/{path}")) {
            Ok(mut file) => {
                let mut answer = Vec::new();
                file.read_to_end(&mut answer).unwrap();
                show("answer", answer.len(), sum(&answer));
            }
            Err(_) => println!("not opened"),
        }
    }
    eprintln!("done");
}
