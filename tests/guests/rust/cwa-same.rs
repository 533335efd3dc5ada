// The work that a program of every ABI does, with the same answer (see cwa/same.c), in Rust without
// its library on the calls of Common WebAssembly.
// target: wasm32-unknown-unknown
// flags: --crate-type=cdylib -C panic=abort
#![no_std]

use core::fmt::{self, Write};
use core::ptr::addr_of_mut;

#[link(wasm_import_module = "cwa")]
extern "C" {
    fn io_get_stdin() -> i32;
    fn io_get_stdout() -> i32;
    fn io_get_stderr() -> i32;
    fn resource_open(url: *const u8, len: usize) -> i32;
    fn resource_close(fd: i32);
    fn resource_read(fd: i32, buf: *mut u8, len: usize) -> i32;
    fn resource_write(fd: i32, buf: *const u8, len: usize) -> i32;
    fn runtime_exit(status: i32);
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    unsafe { runtime_exit(1) };
    loop {}
}

struct Resource(i32);

impl Resource {
    fn open(url: &[u8]) -> Option<Resource> {
        let fd = unsafe { resource_open(url.as_ptr(), url.len()) };
        (fd >= 0).then_some(Resource(fd))
    }
    fn read_all(&self, to: &mut [u8]) -> usize {
        let mut have = 0;
        while have < to.len() {
            let n = unsafe { resource_read(self.0, to[have..].as_mut_ptr(), to.len() - have) };
            if n <= 0 {
                break;
            }
            have += n as usize;
        }
        have
    }
    fn write(&self, bytes: &[u8]) -> usize {
        unsafe { resource_write(self.0, bytes.as_ptr(), bytes.len()) as usize }
    }
}

impl Drop for Resource {
    fn drop(&mut self) {
        unsafe { resource_close(self.0) }
    }
}

struct Out;

impl Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        unsafe { resource_write(io_get_stdout(), text.as_ptr(), text.len()) };
        Ok(())
    }
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |total: u32, b| total.wrapping_mul(31).wrapping_add(*b as u32))
}

fn show(what: &str, n: usize, total: u32) {
    let _ = writeln!(Out, "{what} {n} bytes, sum {total}");
}

const MOST: usize = 1 << 20;
static mut BODY: [u8; MOST] = [0; MOST];
static mut ANSWER: [u8; MOST] = [0; MOST];

#[no_mangle]
pub extern "C" fn cwa_main() -> i32 {
    let (body, answer) = unsafe { (&mut *addr_of_mut!(BODY), &mut *addr_of_mut!(ANSWER)) };
    let mut some = [0; 16];
    let _ = Out.write_str("Content-Type: text/plain\n\n");
    let stdin = core::mem::ManuallyDrop::new(Resource(unsafe { io_get_stdin() }));
    let n = stdin.read_all(body);
    let body = &body[..n];
    show("body", n, sum(body));

    let null = Resource::open(b"null://").unwrap();
    let written = null.write(&body[..n.min(16)]);
    show("null", written + null.read_all(&mut some), 0);
    let zeros = Resource::open(b"zero://").unwrap().read_all(&mut some);
    show("zero", zeros, sum(&some[..zeros]));
    show("random", Resource::open(b"random://").unwrap().read_all(&mut some), 0);
    show("log", Resource::open(b"log://?prefix=same").unwrap().write(b"a line\n"), 0);

    if body.starts_with(b"open ") {
        let url = body[5..].split(|b| *b == b'\n').next().unwrap();
        match Resource::open(url) {
            Some(file) => {
                let n = file.read_all(answer);
                show("answer", n, sum(&answer[..n]));
            }
            None => drop(Out.write_str("not opened\n")),
        }
    }
    unsafe { resource_write(io_get_stderr(), b"done\n".as_ptr(), 5) };
    0
}
