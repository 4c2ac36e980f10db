//! Rate and concurrency limits.

use super::server::{News, Server, Step, choose, event, finish, piece, stream, stream_of, texts};
use sojourn_controller::{Cancel, Controller, Finish};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test]
async fn rate_limit_spaces_requests_and_retries() {
    let broken = || stream([piece("\"ea")]);
    let mut server = Server::start(vec![broken(), stream_of(&["\"eat\""]), stream_of(&["\"sleep\""])]);
    server.options.requests_per_minute = Some(300);
    let controller = server.controller();
    let start = Instant::now();
    for expected in ["\"eat\"", "\"sleep\""] {
        let reply = controller.complete(&choose(), &Cancel::new()).await.unwrap();
        assert_eq!(texts(&reply), [expected]);
    }
    // Two intervals of 200 ms between three requests: a lower bound on any machine.
    assert!(start.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn waiting_for_the_rate_limit_can_be_cancelled() {
    let mut server = Server::start(vec![stream_of(&["\"eat\""])]);
    server.options.requests_per_minute = Some(1);
    let controller = server.controller();
    controller.complete(&choose(), &Cancel::new()).await.unwrap();
    let mut request = choose();
    request.deadline_ms = Some(10);
    let reply = controller.complete(&request, &Cancel::new()).await.unwrap();
    assert_eq!(reply.candidates[0].finish, Finish::Deadline);
    // The time was spent only in the queue.
    assert_eq!((reply.timing.prefill_ms, reply.timing.decode_ms), (0, 0));
    server.seen();
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn concurrency_limit_holds() {
    let slow = || {
        let pause = Step::Pause(Duration::from_millis(100));
        stream([piece("\"eat\""), pause, Step::Mark("done"), finish(0, "stop"), event("[DONE]")])
    };
    let mut server = Server::start(vec![slow(), slow(), slow()]);
    server.options.max_concurrent = Some(1);
    let controller = Arc::new(server.controller());
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let controller = Arc::clone(&controller);
            tokio::spawn(async move { controller.complete(&choose(), &Cancel::new()).await.is_ok() })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap());
    }
    let order: String = (0..9)
        .map(|_| match server.news() {
            News::Connected => 'c',
            News::Asked(_) => 'a',
            _ => 'd',
        })
        .collect();
    assert_eq!(order, "cadcadcad", "each request starts after the previous one");
}
