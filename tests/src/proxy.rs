//! A TCP proxy between one process and one server, which carries only as well
//! as it is told to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How a proxy carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// At once.
    #[default]
    Clear,
    /// Everything comes so much later.
    Slow(Duration),
    /// Connections are reset, new ones too.
    Cut,
    /// Nothing comes through, and nobody is told; it comes late in the end.
    Silent,
    /// Nothing comes through, and nobody is told; connections that lived in it
    /// stay dumb for ever, as after a NAT forgot them.
    HalfOpen,
    /// The server hears the process, whose answers get lost.
    NoAnswers,
    /// The server does not hear the process.
    NoQuestions,
}

/// How long a forgotten connection is kept before someone's keepalive would
/// have found out.
const FORGOTTEN: Duration = Duration::from_secs(40);

/// How long a server may take to accept.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// One proxy. Dropping it ends its connections.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    weather: watch::Sender<Weather>,
    touched: Arc<AtomicU64>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// A proxy to the server of a URL, on a port of its own.
    ///
    /// # Errors
    ///
    /// If no port can be had, or the URL names no address of a server.
    pub async fn before(url: &str) -> io::Result<Self> {
        let server = address_in(url).and_then(|address| address.parse().ok());
        let server = server.ok_or_else(|| io::Error::other(format!("no address in {url}")))?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (weather, heard) = watch::channel(Weather::Clear);
        let touched = Arc::new(AtomicU64::new(0));
        let url = at(url, listener.local_addr()?);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, server, heard, Arc::clone(&touched)));
        Ok(Self { url, weather, touched, _accepting: accepting })
    }

    /// The URL that leads through it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Changes the weather.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// How often a connection felt the weather so far.
    #[must_use]
    pub fn touched(&self) -> u64 {
        self.touched.load(Ordering::Relaxed)
    }
}

/// The host and port of a URL.
fn address_in(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split('/').next().unwrap_or(rest);
    Some(authority.rsplit('@').next().unwrap_or(authority))
}

/// `url`, but at another address.
fn at(url: &str, address: SocketAddr) -> String {
    address_in(url).map_or_else(String::new, |old| url.replacen(old, &address.to_string(), 1))
}

async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    weather: watch::Receiver<Weather>,
    touched: Arc<AtomicU64>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                let line = Line { weather: weather.clone(), touched: Arc::clone(&touched) };
                connections.spawn(line.serve(client, server));
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ToServer,
    ToProcess,
}

/// What becomes of bytes in the weather.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    Late(Duration),
    Shut,
}

impl Weather {
    fn gate(self, way: Way) -> Gate {
        match (self, way) {
            (Self::Slow(late), _) => Gate::Late(late),
            (Self::Silent | Self::HalfOpen, _)
            | (Self::NoAnswers, Way::ToProcess)
            | (Self::NoQuestions, Way::ToServer) => Gate::Shut,
            (Self::Clear | Self::Cut | Self::NoAnswers | Self::NoQuestions, _) => Gate::Open,
        }
    }
}

/// How a connection ends that the weather ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Reset,
    Forgotten,
}

/// One connection's view of the weather.
#[derive(Clone, Debug)]
struct Line {
    weather: watch::Receiver<Weather>,
    touched: Arc<AtomicU64>,
}

impl Line {
    async fn serve(mut self, mut client: TcpStream, server: SocketAddr) {
        let Some(mut server) = self.connect(server).await else {
            self.touch();
            // An error says that the other side has reset it first.
            let _ = client.set_zero_linger();
            return;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));

        let fate = {
            let (from_client, to_client) = client.split();
            let (from_server, to_server) = server.split();
            let up = self.clone().carry(from_client, to_server, Way::ToServer);
            let down = self.clone().carry(from_server, to_client, Way::ToProcess);
            tokio::select! {
                // First, or what was held back slips through before a reset.
                biased;
                fate = self.clone().fate() => Some(fate),
                carried = async { tokio::try_join!(up, down) } => carried.err().map(|_| Fate::Reset),
            }
        };
        if fate == Some(Fate::Forgotten) {
            sleep(FORGOTTEN).await;
        }
        if fate.is_some() {
            let _ = (client.set_zero_linger(), server.set_zero_linger());
        }
    }

    /// Connects once the weather lets a greeting through; `None` if it is refused.
    async fn connect(&mut self, server: SocketAddr) -> Option<TcpStream> {
        loop {
            let weather = *self.weather.borrow_and_update();
            match weather {
                Weather::Cut => return None,
                Weather::Silent | Weather::HalfOpen | Weather::NoQuestions => self.touch(),
                Weather::Clear | Weather::Slow(_) | Weather::NoAnswers => break,
            }
            self.weather.changed().await.ok()?;
        }
        timeout(CONNECT_LIMIT, TcpStream::connect(server)).await.ok()?.ok()
    }

    /// Carries bytes one way, until they end.
    async fn carry(
        mut self,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        way: Way,
    ) -> io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = from.read(&mut buffer).await?;
            self.pass(way).await;
            if read == 0 {
                return to.shutdown().await;
            }
            to.write_all(&buffer[..read]).await?;
        }
    }

    /// Waits until the weather lets something through.
    async fn pass(&mut self, way: Way) {
        loop {
            let gate = self.weather.borrow_and_update().gate(way);
            match gate {
                Gate::Open => return,
                Gate::Late(late) => {
                    self.touch();
                    return sleep(late).await;
                }
                Gate::Shut => {
                    self.touch();
                    if self.weather.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for weather that ends the connection.
    async fn fate(mut self) -> Fate {
        let mut has_lost = false;
        loop {
            let weather = *self.weather.borrow_and_update();
            match weather {
                Weather::Cut => break self.touched_by(Fate::Reset),
                Weather::HalfOpen => break self.touched_by(Fate::Forgotten),
                Weather::NoAnswers | Weather::NoQuestions => has_lost = true,
                Weather::Clear | Weather::Slow(_) | Weather::Silent if has_lost => {
                    break self.touched_by(Fate::Reset);
                }
                Weather::Clear | Weather::Slow(_) | Weather::Silent => {}
            }
            if self.weather.changed().await.is_err() {
                return Fate::Reset;
            }
        }
    }

    fn touched_by(&self, fate: Fate) -> Fate {
        self.touch();
        fate
    }

    fn touch(&self) {
        self.touched.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    const BRIEFLY: Duration = Duration::from_millis(100);

    /// A server that says back what it hears.
    async fn given_echo() -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        (address, tasks)
    }

    async fn given_line() -> (Proxy, TcpStream, JoinSet<()>) {
        let (server, tasks) = given_echo().await;
        let proxy = Proxy::before(&format!("echo://{server}")).await.unwrap();
        let mut client = connect(&proxy).await;
        assert_eq!(echo(&mut client).await.unwrap(), 1);
        (proxy, client, tasks)
    }

    async fn connect(proxy: &Proxy) -> TcpStream {
        TcpStream::connect(address_in(proxy.url()).unwrap()).await.unwrap()
    }

    async fn echo(client: &mut TcpStream) -> io::Result<u8> {
        client.write_all(&[1]).await?;
        let mut byte = [0];
        timeout(PATIENCE, client.read_exact(&mut byte)).await??;
        Ok(byte[0])
    }

    async fn is_silent(client: &mut TcpStream) -> bool {
        let mut byte = [0];
        timeout(BRIEFLY, client.read(&mut byte)).await.is_err()
    }

    #[test]
    fn only_the_address_of_a_url_is_replaced() {
        let address = "127.0.0.1:9".parse().unwrap();
        assert_eq!(at("postgresql://u@127.0.0.1:5/d", address), "postgresql://u@127.0.0.1:9/d");
        assert_eq!(at("nats://127.0.0.1:4222", address), "nats://127.0.0.1:9");
    }

    #[tokio::test]
    async fn what_was_held_back_comes_when_it_clears_up() {
        let (proxy, mut client, _echo) = given_line().await;
        proxy.set(Weather::Silent);
        client.write_all(&[1]).await.unwrap();
        assert!(is_silent(&mut client).await);

        proxy.set(Weather::Clear);

        let mut byte = [0];
        timeout(PATIENCE, client.read_exact(&mut byte)).await.unwrap().unwrap();
        assert!(proxy.touched() > 0);
    }

    #[tokio::test]
    async fn a_forgotten_connection_stays_dumb_and_a_new_one_works() {
        let (proxy, mut client, _echo) = given_line().await;
        proxy.set(Weather::HalfOpen);
        assert!(is_silent(&mut client).await);
        proxy.set(Weather::Clear);

        client.write_all(&[1]).await.unwrap();
        assert!(is_silent(&mut client).await);
        let mut next = connect(&proxy).await;
        assert_eq!(echo(&mut next).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_cut_resets() {
        let (proxy, mut client, _echo) = given_line().await;
        proxy.set(Weather::Cut);

        let mut byte = [0];
        let read = timeout(PATIENCE, client.read(&mut byte)).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn lost_answers_never_come() {
        let (proxy, mut client, _echo) = given_line().await;
        proxy.set(Weather::NoAnswers);
        client.write_all(&[1]).await.unwrap();
        assert!(is_silent(&mut client).await);

        proxy.set(Weather::Clear);

        assert!(echo(&mut client).await.is_err());
    }

    #[tokio::test]
    async fn slow_weather_delays() {
        let (proxy, mut client, _echo) = given_line().await;
        proxy.set(Weather::Slow(BRIEFLY));
        let asked = Instant::now();
        echo(&mut client).await.unwrap();
        assert!(asked.elapsed() >= BRIEFLY * 2);
    }
}
