// Loads and stores by computed index, with Rust's bounds checks: a text is packed by an LZ77
// compressor with a hash table and chains of 32 candidates, unpacked and compared.
const TEXT: usize = 1 << 20;
const ROUNDS: usize = 24;
const HASHES: usize = 1 << 15;
const WINDOW: usize = 1 << 15;
const CHAIN: usize = 32;
const LEAST: usize = 4;
const MOST: usize = 255 + LEAST;
const NOWHERE: usize = usize::MAX;

fn hash(p: &[u8]) -> usize {
    (u32::from_le_bytes(p[..4].try_into().unwrap()).wrapping_mul(2654435761) >> (32 - 15)) as usize
}

fn matching(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take(MOST).take_while(|(a, b)| a == b).count()
}

struct Chains {
    head: Vec<usize>,
    before: Vec<usize>,
}

impl Chains {
    fn insert(&mut self, text: &[u8], i: usize) {
        let h = hash(&text[i..]);
        self.before[i % WINDOW] = self.head[h];
        self.head[h] = i;
    }

    // The longest match of what is at i: its length, and where it starts.
    fn best(&self, text: &[u8], i: usize) -> (usize, usize) {
        let (mut best, mut from, mut at) = (0, 0, self.head[hash(&text[i..])]);
        for _ in 0..CHAIN {
            if at == NOWHERE || i - at >= WINDOW {
                break;
            }
            let n = matching(&text[at..], &text[i..]);
            if n > best {
                (best, from) = (n, at);
            }
            at = self.before[at % WINDOW];
        }
        (best, from)
    }
}

// Eight items a flag byte: a literal, or 2 bytes of distance and 1 of length.
fn pack(text: &[u8]) -> Vec<u8> {
    let mut chains = Chains { head: vec![NOWHERE; HASHES], before: vec![NOWHERE; WINDOW] };
    let mut out = Vec::with_capacity(text.len());
    let (mut flags, mut bit, mut i) = (0, 8, 0);
    while i < text.len() {
        let (best, from) = if text.len() - i >= LEAST { chains.best(text, i) } else { (0, 0) };
        if bit == 8 {
            flags = out.len();
            out.push(0);
            bit = 0;
        }
        let mut step = 1;
        if best >= LEAST {
            out[flags] |= 1 << bit;
            out.extend_from_slice(&((i - from) as u16).to_le_bytes());
            out.push((best - LEAST) as u8);
            step = best;
        } else {
            out.push(text[i]);
        }
        bit += 1;
        for at in i..i + step {
            if at + LEAST <= text.len() {
                chains.insert(text, at);
            }
        }
        i += step;
    }
    out
}

fn unpack(packed: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(TEXT);
    let mut at = 0;
    while at < packed.len() {
        let flags = packed[at];
        at += 1;
        for bit in 0..8 {
            if at >= packed.len() {
                break;
            }
            if flags >> bit & 1 == 0 {
                out.push(packed[at]);
                at += 1;
                continue;
            }
            let distance = u16::from_le_bytes([packed[at], packed[at + 1]]) as usize;
            let length = packed[at + 2] as usize + LEAST;
            at += 3;
            for _ in 0..length {
                out.push(out[out.len() - distance]);
            }
        }
    }
    out
}

fn main() {
    let words = [
        "the ", "of ", "and ", "to ", "function ", "module ", "memory ", "a ", "byte ", "host ", "call ", "ledger ",
        "is ", "in ", "run ", "\n",
    ];
    let mut text = Vec::new();
    let mut seed: u32 = 1;
    while text.len() < TEXT {
        seed = seed.wrapping_mul(1664525).wrapping_add(1013904223);
        text.extend_from_slice(words[(seed >> 28) as usize].as_bytes());
        if seed >> 20 & 1 != 0 {
            text.push(b'0' + ((seed >> 8) % 10) as u8);
        }
    }
    text.truncate(TEXT);
    let (mut same, mut n) = (0, 0);
    for round in 0..ROUNDS {
        let packed = pack(&text);
        n = packed.len();
        same += (unpack(&packed) == text) as usize;
        text[round] ^= 1; // another text each time
    }
    println!("{same} of {ROUNDS}, {n} bytes of {TEXT}");
    assert_eq!(same, ROUNDS);
}
