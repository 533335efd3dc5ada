// Panics: a trap, with its message in the function's log.
fn main() {
    panic!("out of coffee");
}
