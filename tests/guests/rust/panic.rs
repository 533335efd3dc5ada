// Panics, some calls deep: a trap, with its message in the function's log.
mod kitchen {
    pub struct Machine {
        pub beans: u32,
    }

    impl Machine {
        #[inline(never)]
        pub fn brew(&self) -> u32 {
            if self.beans == 0 {
                panic!("out of coffee");
            }
            self.beans
        }
    }
}

fn main() {
    let beans = std::env::args().count() as u32 / 100;
    std::process::exit(kitchen::Machine { beans }.brew() as i32);
}
