//! {{name}}: answers each request with a greeting. A CGI program (RFC 3875): the request is in
//! environment variables and standard input, the answer is header fields, an empty line and a body
//! on standard output. Standard error is the function's log.
use std::env;

fn variable(name: &str, otherwise: &str) -> String {
    env::var(name).ok().filter(|v| !v.is_empty()).unwrap_or_else(|| otherwise.to_string())
}

fn main() {
    eprintln!("{} {}", variable("REQUEST_METHOD", "GET"), variable("PATH_INFO", "/"));
    print!("Content-Type: text/plain; charset=utf-8\n\n");
    println!("{} from {{name}}", variable("GREETING", "Hello"));
}
