//! A client of the HTTP control plane, with nothing between it and the wire.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use crate::{Bay, PATIENCE, eventually};

/// Where a bay's host serves HTTP, and its token.
#[derive(Debug, Clone)]
pub struct Web {
    /// `127.0.0.1:41234`
    pub address: String,
    /// What stands in the file `token`.
    pub token: String,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head, line by line, in small letters.
    pub head: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Bay {
    /// The same bay with its host started, which also serves HTTP at a port that is free.
    #[must_use]
    pub fn up_with_http(mut self) -> (Self, Web) {
        self.start_with(|command| {
            command.args(["--http", "127.0.0.1:0"]);
        });
        let web = self.web();
        (self, web)
    }

    /// Where its host serves HTTP.
    #[must_use]
    pub fn web(&self) -> Web {
        let address = eventually("the host says where it serves HTTP", || {
            let log = self.log();
            let (_, rest) = log.rsplit_once("http: listening at http://")?;
            Some(rest.split_once(',')?.0.to_owned())
        });
        let token = std::fs::read_to_string(self.home().join("token")).unwrap();
        Web { address, token }
    }
}

impl Web {
    /// A connection of its own.
    #[must_use]
    pub fn connect(&self) -> Connection {
        self.try_connect().unwrap()
    }

    /// The same, which may fail.
    ///
    /// # Errors
    /// What the system says.
    pub fn try_connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream: BufReader::new(stream), web: self.clone() })
    }

    /// Asks with the token, by a connection of its own.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.connect().ask(method, path, body).unwrap()
    }

    /// Looks, and it must be there.
    #[must_use]
    #[track_caller]
    pub fn get(&self, path: &str) -> String {
        let answer = self.ask("GET", path, b"");
        assert_eq!(answer.status, 200, "GET {path}: {answer:?}");
        answer.text()
    }

    /// Changes something, and it must be done.
    #[track_caller]
    pub fn post(&self, path: &str, body: &str) -> String {
        let answer = self.ask("POST", path, body.as_bytes());
        assert_eq!(answer.status, 200, "POST {path}: {answer:?}");
        answer.text()
    }
}

/// A connection that may be asked more than once.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    web: Web,
}

impl Connection {
    /// Asks with the token.
    ///
    /// # Errors
    /// What the system says.
    pub fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
        let headers = format!("host: {}\r\nauthorization: Bearer {}\r\n", self.web.address, self.web.token);
        self.ask_with(method, path, &headers, body)
    }

    /// Asks with these lines in the head and no others but the body's length.
    ///
    /// # Errors
    /// What the system says.
    pub fn ask_with(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> io::Result<Answer> {
        self.send(method, path, headers, body)?;
        self.answer()
    }

    /// The same without waiting for the answer.
    ///
    /// # Errors
    /// What the system says.
    pub fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> io::Result<()> {
        let length = body.len();
        let mut bytes =
            format!("{method} {path} HTTP/1.1\r\n{headers}content-length: {length}\r\n\r\n").into_bytes();
        bytes.extend_from_slice(body);
        self.write(&bytes)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// The head of the next answer.
    ///
    /// # Errors
    /// What the system says, also when the connection has ended.
    pub fn head(&mut self) -> io::Result<(u16, Vec<String>)> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            lines.push(line.to_lowercase());
        }
        let status = lines.first().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        Ok((status.ok_or(io::ErrorKind::InvalidData)?, lines))
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// What the system says, also when the connection has ended.
    pub fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// The next answer, whole.
    ///
    /// # Errors
    /// What the system says, also when the connection has ended.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let (status, head) = self.head()?;
        let length =
            head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, head, body })
    }

    /// Whether the other side has ended it, which is waited for.
    #[must_use]
    pub fn is_over(&mut self) -> bool {
        let mut rest = Vec::new();
        // An end that comes in the middle of what was sent is one, too.
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        }
    }

    /// The data of the next server-sent event of this kind.
    #[track_caller]
    pub fn event(&mut self, kind: &str) -> serde_json::Value {
        let wanted = format!("event: {kind}");
        loop {
            if self.line().unwrap() == wanted {
                let data = self.line().unwrap();
                return serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            }
        }
    }
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }
}
