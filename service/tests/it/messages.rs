//! Messages to people: kept before they are delivered, delivered to servers that fail, and given up at last.

use serde_json::{Value, json};
use sojourn_memory::{RunId, Store};
use sojourn_service::notify::{
    Addressees, Channels, Courier, EventKind, News, NotifySettings, WebhookSettings, post, signature,
};
use sojourn_service::now_ms;
use sojourn_testkit::{Received, serve_raw};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One agent file for all agents.
struct One(NotifySettings, PathBuf);

impl Channels for One {
    fn of(&self, _agent: &str) -> Result<Addressees, String> {
        Ok(Addressees { settings: self.0.clone(), directory: self.1.clone() })
    }
}

struct Lab {
    home: tempfile::TempDir,
    store: Store,
    settings: NotifySettings,
}

impl Lab {
    async fn new(settings: NotifySettings) -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).await.unwrap();
        Self { home, store, settings }
    }

    async fn tell(&self, event: EventKind) -> bool {
        let run: RunId = "run-1".parse().unwrap();
        let news = News {
            event,
            run,
            agent: "agent.toml".to_owned(),
            at_ms: now_ms(),
            text: "it is stuck".to_owned(),
            data: json!({"task": "swim"}),
        };
        post(&self.store, &self.settings, "agent.toml", &news).await.unwrap()
    }

    async fn deliver(&self) {
        let channels = Arc::new(One(self.settings.clone(), self.home.path().to_owned()));
        Courier::new(self.store.clone(), None, channels).drain(Duration::from_secs(30)).await;
    }

    /// Makes the message due again that a failure has put off.
    async fn hurry(&self) {
        let far = now_ms() + 100 * 86_400_000;
        assert!(self.store.take_message(None, far, -far).await.unwrap().is_some());
    }
}

fn webhook(url: String, secret_env: Option<&str>) -> NotifySettings {
    let webhook = WebhookSettings { url, secret_env: secret_env.map(str::to_owned), private_ranges: vec![] };
    NotifySettings { webhook: Some(webhook), ..NotifySettings::default() }
}

#[tokio::test]
async fn a_message_reaches_a_server_that_failed_first_signed_and_once() {
    // Cargo sets the variable of every test: a secret that needs no change of this process.
    const SECRET: &str = "CARGO_MANIFEST_DIR";
    let received: Arc<Mutex<Vec<Received>>> = Arc::default();
    let kept = Arc::clone(&received);
    let attempts = AtomicUsize::new(0);
    let url = serve_raw(move |request| {
        kept.lock().unwrap().push(request);
        if attempts.fetch_add(1, Ordering::SeqCst) == 0 { (500, String::new()) } else { (204, String::new()) }
    });
    let lab = Lab::new(webhook(url, Some(SECRET))).await;
    assert!(lab.tell(EventKind::Stuck).await);
    lab.tell(EventKind::Died).await;
    assert_eq!(lab.store.message_counts().await.unwrap(), (1, 0, 0), "nobody wants to know of deaths");

    lab.deliver().await;
    assert_eq!(
        lab.store.message_counts().await.unwrap(),
        (1, 0, 0),
        "it failed, and waits for its next time"
    );
    lab.hurry().await;
    lab.deliver().await;
    assert_eq!(lab.store.message_counts().await.unwrap(), (0, 1, 0));
    lab.deliver().await;

    let received = received.lock().unwrap();
    assert_eq!(received.len(), 2);
    let last = &received[1];
    let body = String::from_utf8(last.body.clone()).unwrap();
    let news: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&news["event"], &news["run"], &news["data"]["task"]),
        (&json!("stuck"), &json!("run-1"), &json!("swim"))
    );
    let (id, time) = (last.header("webhook-id"), last.header("webhook-timestamp"));
    assert_eq!(id, received[0].header("webhook-id"), "both attempts are one message");
    let secret = std::env::var(SECRET).unwrap();
    let signed = signature(&secret, id.unwrap(), time.unwrap().parse().unwrap(), &body);
    assert_eq!(last.header("webhook-signature"), Some(signed.as_str()));
    assert!(!body.contains(&secret));
}

#[tokio::test]
async fn a_server_that_hangs_or_is_gone_delays_nothing_and_a_receiver_that_unsubscribes_is_left_alone() {
    // Accepts connections and never answers.
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let lab = Lab::new(webhook(format!("http://{}/", hanging.local_addr().unwrap()), None)).await;
    lab.tell(EventKind::Stuck).await;
    let channels = Arc::new(One(lab.settings.clone(), lab.home.path().to_owned()));
    Courier::new(lab.store.clone(), None, channels).drain(Duration::from_millis(300)).await;
    assert_eq!(lab.store.message_counts().await.unwrap().0, 1, "what was under way is not lost");
    let far = now_ms() + 100 * 86_400_000;
    let left = lab.store.take_message(None, far, 0).await.unwrap().unwrap();
    assert_eq!(left.attempts, 0, "the end of a run does not wait for the server's time-out");

    let gone = Lab::new(webhook("http://127.0.0.1:9/".to_owned(), None)).await;
    gone.tell(EventKind::Stuck).await;
    gone.deliver().await;
    assert_eq!(gone.store.message_counts().await.unwrap(), (1, 0, 0));

    let unsubscribed = Lab::new(webhook(serve_raw(|_| (410, String::new())), None)).await;
    unsubscribed.tell(EventKind::Stuck).await;
    unsubscribed.deliver().await;
    assert_eq!(unsubscribed.store.message_counts().await.unwrap(), (0, 0, 1));
}

#[tokio::test]
async fn a_redirect_to_another_origin_gets_no_message() {
    let elsewhere = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&elsewhere);
    let other = serve_raw(move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        (200, String::new())
    });
    let url = serve_raw(move |_| (307, format!("location: {other}\r\n")));
    let lab = Lab::new(webhook(url, None)).await;
    lab.tell(EventKind::Finished).await;
    lab.deliver().await;
    assert_eq!(elsewhere.load(Ordering::SeqCst), 0);
    assert_eq!(lab.store.message_counts().await.unwrap(), (1, 0, 0));
}

#[tokio::test]
async fn a_command_gets_the_message_on_its_standard_input() {
    let command = ["sh", "-c", "cat > told.json"].map(str::to_owned).to_vec();
    let lab = Lab::new(NotifySettings { command, ..NotifySettings::default() }).await;
    lab.tell(EventKind::Asked).await;
    lab.deliver().await;
    let told = std::fs::read_to_string(lab.home.path().join("told.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["text"], "it is stuck");

    let failing = ["sh", "-c", "exit 3"].map(str::to_owned).to_vec();
    let lab = Lab::new(NotifySettings { command: failing, ..NotifySettings::default() }).await;
    lab.tell(EventKind::Asked).await;
    lab.deliver().await;
    assert_eq!(lab.store.message_counts().await.unwrap(), (1, 0, 0));
}

#[tokio::test]
async fn a_dead_receiver_does_not_fill_the_disk() {
    let lab = Lab::new(webhook("http://127.0.0.1:9/".to_owned(), None)).await;
    let mut kept = 0;
    while lab.tell(EventKind::Goal).await {
        kept += 1;
        assert!(kept <= 1000);
    }
    assert_eq!(kept, 1000);
}
