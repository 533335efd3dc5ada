// Branches, small allocations, strings: a JSON text is parsed into a tree and printed, again and
// again, as a careful Rust program would do it.
use std::fmt::Write;

const ROUNDS: usize = 60;
const RECORDS: usize = 8000;

enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while self.peek().is_ascii_whitespace() {
            self.at += 1;
        }
    }

    fn string(&mut self) -> String {
        let mut bytes = Vec::new();
        self.at += 1;
        while self.peek() != b'"' {
            let mut byte = self.peek();
            if byte == b'\\' {
                self.at += 1;
                byte = if self.peek() == b'n' { b'\n' } else { self.peek() };
            }
            bytes.push(byte);
            self.at += 1;
        }
        self.at += 1;
        String::from_utf8(bytes).unwrap()
    }

    fn number(&mut self) -> f64 {
        let start = self.at;
        while matches!(self.peek(), b'-' | b'.' | b'0'..=b'9') {
            self.at += 1;
        }
        std::str::from_utf8(&self.text[start..self.at]).unwrap().parse().unwrap()
    }

    fn comma(&mut self) {
        self.space();
        if self.peek() == b',' {
            self.at += 1;
            self.space();
        }
    }

    fn value(&mut self) -> Value {
        self.space();
        match self.peek() {
            b'{' => {
                let mut members = Vec::new();
                self.at += 1;
                self.space();
                while self.peek() != b'}' {
                    let name = self.string();
                    self.space();
                    self.at += 1; // the colon
                    members.push((name, self.value()));
                    self.comma();
                }
                self.at += 1;
                Value::Object(members)
            }
            b'[' => {
                let mut items = Vec::new();
                self.at += 1;
                self.space();
                while self.peek() != b']' {
                    items.push(self.value());
                    self.comma();
                }
                self.at += 1;
                Value::Array(items)
            }
            b'"' => Value::Text(self.string()),
            b't' => self.word(4, Value::Bool(true)),
            b'f' => self.word(5, Value::Bool(false)),
            b'n' => self.word(4, Value::Null),
            _ => Value::Number(self.number()),
        }
    }

    fn word(&mut self, length: usize, value: Value) -> Value {
        self.at += length;
        value
    }
}

fn print_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            _ => out.push(c),
        }
    }
    out.push('"');
}

fn print(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => write!(out, "{number}").unwrap(),
        Value::Text(text) => print_text(out, text),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                print(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (i, (name, item)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                print_text(out, name);
                out.push(':');
                print(out, item);
            }
            out.push('}');
        }
    }
}

fn main() {
    let mut text = String::from("[");
    for i in 0..RECORDS {
        let (comma, name, a, b) = (if i > 0 { "," } else { "" }, i * 7, i % 1000, i % 9 + 1);
        let (active, x, y) = (i % 3 != 0, i % 180, i % 90);
        write!(
            text,
            "{comma}{{\"id\":{i},\"name\":\"somebody number {name}\",\"tags\":[\"a\",\"bc\",\"d\\\"e\\n\"],\
             \"score\":{a}.{b},\"active\":{active},\"place\":{{\"x\":-{x}.5,\"y\":{y},\"z\":null}}}}"
        )
        .unwrap();
    }
    text.push(']');
    let mut same = 0;
    for _ in 0..ROUNDS {
        let mut out = String::new();
        print(&mut out, &Parser { text: text.as_bytes(), at: 0 }.value());
        same += (out == text) as usize;
    }
    println!("{same} of {ROUNDS}, {} bytes", text.len());
    assert_eq!(same, ROUNDS);
}
