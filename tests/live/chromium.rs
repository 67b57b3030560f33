//! A browser without a window, driven through its debugging socket.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use outpost::obs::clock::boot_now;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use super::node::{DEADLINE, LOOK};

pub(crate) struct Chromium {
    child: Child,
    socket: WebSocket<TcpStream>,
    /// Its profile.
    _folder: tempfile::TempDir,
    asked: u64,
    /// What the browser calls the talk with its page; `null` before there is one.
    page: Value,
}

impl Chromium {
    /// With a file of this project as its one page, and what stands behind a `#` in its address.
    pub(crate) fn open(file: &str, fragment: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        assert!(file.exists(), "{file:?}");
        let mut command = Command::new("chromium");
        // A sandbox needs namespaces, which a container may not have; what it opens is our own.
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ]);
        command.args(["--disable-background-networking", "--remote-debugging-port=0"]);
        command.arg(format!("--user-data-dir={}", folder.path().display()));
        command
            .arg(format!("file://{}#{fragment}", file.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child =
            command.spawn().unwrap_or_else(|error| panic!("chromium: {error}; apt-get install chromium"));
        let told = folder.path().join("DevToolsActivePort");
        let (port, path) = wait_for("a debugging port", || {
            let text = std::fs::read_to_string(&told).ok()?;
            let (port, path) = text.split_once('\n')?;
            Some((port.parse::<u16>().ok()?, path.trim().to_owned())).filter(|(_, path)| !path.is_empty())
        });
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let url = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = client::client(url, stream).unwrap_or_else(|error| panic!("{error}"));
        let mut browser = Self { child, socket, _folder: folder, asked: 0, page: Value::Null };
        let began = boot_now();
        let target = loop {
            let targets = browser.ask("Target.getTargets", &json!({})).unwrap();
            let pages = targets["targetInfos"].as_array().unwrap();
            if let Some(page) = pages.iter().find(|target| target["type"] == "page") {
                break page["targetId"].clone();
            }
            assert!(boot_now().since(began) < DEADLINE, "never a page: {targets}");
            std::thread::park_timeout(LOOK);
        };
        let session = browser.ask("Target.attachToTarget", &json!({"targetId": target, "flatten": true}));
        browser.page = session.unwrap()["sessionId"].clone();
        browser
    }

    /// What the page's own script would get; while the page is put in place, the browser refuses.
    fn evaluate(&mut self, expression: &str) -> Result<Value, Value> {
        let answer =
            self.ask("Runtime.evaluate", &json!({"expression": expression, "returnByValue": true}))?;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        Ok(answer["result"]["value"].clone())
    }

    /// The page's state, and its messages in order; else what the browser says.
    fn shown(&mut self) -> Result<(String, Vec<String>), Value> {
        let text = self.evaluate(
            "[document.getElementById('state')?.textContent ?? '', \
             ...[...document.querySelectorAll('#messages li')].map(item => item.textContent)]",
        )?;
        let mut lines: Vec<String> = serde_json::from_value(text).unwrap();
        let state = lines.remove(0);
        Ok((state, lines))
    }

    /// Looks until the page is as wished.
    pub(crate) fn wait_for(&mut self, what: &str, wished: impl Fn(&str, &[String]) -> bool) -> Vec<String> {
        let began = boot_now();
        loop {
            let shown = self.shown();
            if let Ok((state, messages)) = &shown
                && wished(state, messages)
            {
                return messages.clone();
            }
            assert!(boot_now().since(began) < DEADLINE, "never {what}: {shown:?}");
            std::thread::park_timeout(LOOK);
        }
    }

    /// The result, or the error.
    fn ask(&mut self, method: &str, parameters: &Value) -> Result<Value, Value> {
        self.asked += 1;
        let mut request = json!({"id": self.asked, "method": method, "params": parameters});
        if !self.page.is_null() {
            request["sessionId"] = self.page.clone();
        }
        self.socket.send(Message::text(request.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let answer: Value = serde_json::from_str(&text).unwrap();
            if answer["id"] == self.asked {
                let error = &answer["error"];
                return if error.is_null() { Ok(answer["result"].clone()) } else { Err(error.clone()) };
            }
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Its other processes end with it.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn wait_for<T>(what: &str, found: impl Fn() -> Option<T>) -> T {
    let began = boot_now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(boot_now().since(began) < DEADLINE, "never {what}");
        std::thread::park_timeout(LOOK);
    }
}
