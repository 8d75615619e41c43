//! One run of fastwebsockets; arguments and output as ../README.md says.

use std::env;
use std::error::Error;
use std::fs;
use std::future::Future;
use std::time::Instant;

use fastwebsockets::{FragmentCollector, Frame, OpCode, handshake};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

type Session = FragmentCollector<TokioIo<Upgraded>>;
type Outcome<T> = Result<T, Box<dyn Error>>;

struct Run {
    kind: String,
    url: Uri,
    binary: bool,
    size: usize,
    count: u64,
    warm_up: f64,
    budget: f64,
    message: Vec<u8>,
}

/// Ties hyper's executor to tokio's runtime.
struct Spawn;

impl<F> hyper::rt::Executor<F> for Spawn
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn(future);
    }
}

async fn close(session: &mut Session) -> Outcome<()> {
    session.write_frame(Frame::close(1000, b"")).await?;
    while session.read_frame().await?.opcode != OpCode::Close {}
    Ok(())
}

async fn receive(session: &mut Session) -> Outcome<usize> {
    let frame = session.read_frame().await?; // a text is valid UTF-8
    match frame.opcode {
        OpCode::Text | OpCode::Binary => Ok(frame.payload.len()),
        other => Err(format!("received {other:?}").into()),
    }
}

fn check(length: usize, expected: usize) -> Outcome<()> {
    if length == expected {
        return Ok(());
    }
    Err(format!("the last message has length {length}, expected {expected}").into())
}

impl Run {
    fn new(arguments: &[String]) -> Outcome<Run> {
        let size = arguments[3].parse()?;
        Ok(Run {
            kind: arguments[0].clone(),
            url: arguments[1].parse()?,
            binary: arguments[2] == "binary",
            size,
            count: arguments[4].parse()?,
            warm_up: arguments[5].parse()?,
            budget: arguments[6].parse()?,
            message: vec![b'x'; size],
        })
    }

    async fn open(&self) -> Outcome<Session> {
        let host = self.url.authority().ok_or("the URL has no host")?.as_str();
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        let request = Request::builder()
            .uri(self.url.path_and_query().ok_or("the URL has no path")?.as_str())
            .header(HOST, host)
            .header(UPGRADE, "websocket")
            .header(CONNECTION, "upgrade")
            .header("Sec-WebSocket-Key", handshake::generate_key())
            .header("Sec-WebSocket-Version", "13")
            .body(Empty::<Bytes>::new())?;
        let (session, _) = handshake::client(&Spawn, request, stream).await?;
        Ok(FragmentCollector::new(session))
    }

    async fn send(&self, session: &mut Session) -> Outcome<()> {
        // Masked where it lies, so it has to be the library's own.
        let payload = self.message.clone().into();
        let frame = if self.binary { Frame::binary(payload) } else { Frame::text(payload) };
        Ok(session.write_frame(frame).await?)
    }

    /// What is done again and again, `count` units each time.
    async fn chunk(&self, session: &mut Option<Session>) -> Outcome<()> {
        let Some(session) = session else {
            for _ in 0..self.count {
                close(&mut self.open().await?).await?;
            }
            return Ok(());
        };
        let mut length = 0;
        match self.kind.as_str() {
            "receive" => {
                session.write_frame(Frame::text(b"go".to_vec().into())).await?;
                for _ in 0..self.count {
                    length = receive(session).await?;
                }
                check(length, self.size)
            }
            "send" => {
                for _ in 0..self.count {
                    self.send(session).await?;
                }
                check(receive(session).await?, 4)
            }
            "round_trips" => {
                for _ in 0..self.count {
                    self.send(session).await?;
                    length = receive(session).await?;
                }
                check(length, self.size)
            }
            other => Err(format!("there is no scenario of kind {other}").into()),
        }
    }

    async fn measure(&self) -> Outcome<String> {
        let mut session = if self.kind == "connect" { None } else { Some(self.open().await?) };
        let start = cpu_seconds();
        while cpu_seconds() - start < self.warm_up {
            self.chunk(&mut session).await?;
        }
        let mut units = 0;
        let (wall, cpu) = (Instant::now(), cpu_seconds());
        while cpu_seconds() - cpu < self.budget {
            self.chunk(&mut session).await?;
            units += self.count;
        }
        let each = 1e6 / units as f64;
        let (cpu_us, wall_us) = ((cpu_seconds() - cpu) * each, wall.elapsed().as_secs_f64() * each);
        Ok(format!("\"cpu_us\": {cpu_us}, \"wall_us\": {wall_us}"))
    }

    async fn memory(&self) -> Outcome<String> {
        for _ in 0..20 {
            close(&mut self.open().await?).await?;
        }
        let before = kib("VmRSS")?;
        let mut sessions = Vec::new();
        for _ in 0..self.count {
            sessions.push(self.open().await?);
        }
        let grown = kib("VmRSS")? - before;
        for session in &mut sessions {
            close(session).await?;
        }
        Ok(format!("\"kib\": {}", grown / self.count as f64))
    }
}

fn cpu_seconds() -> f64 {
    // SAFETY: getrusage fills in the structure, in which all zeros are valid.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &mut usage), 0);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn kib(field: &str) -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let words = line.ok_or_else(|| format!("/proc/self/status has no {field}"))?;
    Ok(words.split_whitespace().next().unwrap_or_default().parse()?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.len() != 7 {
        return Err("usage: client KIND URL TYPE SIZE COUNT WARM_UP BUDGET".into());
    }
    let run = Run::new(&arguments)?;
    let values = if run.kind == "memory" { run.memory().await? } else { run.measure().await? };
    println!("{{{values}, \"peak_kib\": {}}}", kib("VmHWM")?);
    Ok(())
}
