// As cwa/replay.c, in plain Rust.
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn main() {
    let mut body = String::new();
    std::io::stdin().read_to_string(&mut body).unwrap();
    let began = Instant::now();
    std::thread::sleep(Duration::from_millis(2));
    println!("Content-Type: text/plain\n\nbody {}", body.len());
    println!("time {:?} {:?}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap(), began.elapsed());
    let map: HashMap<u32, u32> = (0..8).map(|n| (n, n)).collect(); // its order is random
    println!("random {:?}", map.keys().collect::<Vec<_>>());
    let path = format!("/net/{}", body.lines().next().unwrap_or("").replacen("://", "/", 1));
    match File::open(path) {
        Ok(mut file) => {
            let mut answer = String::new();
            file.read_to_string(&mut answer).unwrap();
            println!("answer {answer}");
        }
        Err(error) => {
            println!("not opened: {error}");
            std::process::exit(3);
        }
    }
}
