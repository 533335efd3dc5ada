// Calls: Fibonacci numbers by the definition.
#[inline(never)]
fn fib(n: u32) -> u32 {
    if n < 2 {
        n
    } else {
        fib(n - 1) + fib(n - 2)
    }
}

fn main() {
    let n = 42 + std::env::args().skip(1).count() as u32; // not known to the compiler
    println!("{}", fib(n));
}
