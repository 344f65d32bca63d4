//! A real mail server, aiosmtpd, which keeps what it gets in a folder.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use mail_parser::MessageParser;
use tempfile::TempDir;

/// A mail server on a port of its own, which may not run yet.
pub(super) struct MailServer {
    port: u16,
    folder: TempDir,
    process: Option<Child>,
}

/// What has arrived.
pub(super) struct Mail {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) id: String,
}

impl MailServer {
    /// Chooses a port, on which nobody answers yet.
    pub(super) fn down() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { port, folder: tempfile::tempdir().unwrap(), process: None }
    }

    pub(super) fn up() -> Self {
        let mut server = Self::down();
        server.start(&[]);
        server
    }

    /// Starts the server, and returns when it listens.
    pub(super) fn start(&mut self, arguments: &[&str]) {
        let mut process = Command::new("aiosmtpd")
            .args(["--nosetuid", "--debug", "--listen", &format!("127.0.0.1:{}", self.port)])
            .args(arguments)
            .args(["--class", "aiosmtpd.handlers.Mailbox"])
            .arg(self.folder.path().join("mailbox"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("aiosmtpd starts; if it is missing, run ./scripts/test");
        let mut log = BufReader::new(process.stderr.take().unwrap());
        self.process = Some(process);
        let mut line = String::new();
        while !line.contains("Server is listening") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "aiosmtpd ended before it listened");
        }
        // What it goes on to say is thrown away, so that it never waits for a reader.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    }

    pub(super) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    pub(super) fn mails(&self) -> Vec<Mail> {
        let Ok(files) = fs::read_dir(self.folder.path().join("mailbox/new")) else { return Vec::new() };
        files.map(|file| read(&fs::read(file.unwrap().path()).unwrap())).collect()
    }
}

fn read(file: &[u8]) -> Mail {
    let message = MessageParser::default().parse(file).unwrap();
    let address = |list: Option<&mail_parser::Address<'_>>| {
        list.and_then(|list| list.first()).and_then(|one| one.address()).unwrap().to_owned()
    };
    Mail {
        from: address(message.from()),
        to: address(message.to()),
        subject: message.subject().unwrap().to_owned(),
        text: message.body_text(0).unwrap().trim_end().to_owned(),
        id: message.message_id().unwrap().to_owned(),
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        process.kill().unwrap();
        process.wait().unwrap();
    }
}
