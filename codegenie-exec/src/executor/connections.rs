//! The connections of a running command, recorded on the task that runs it.

use super::record::Recorder;
use crate::sandbox::{ConnectionEvent, ConnectionObserver, Observed, SandboxRequest};
use codegenie_security::AuditSink;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::{mpsc, oneshot};

/// Events that wait to be recorded. A connection whose event finds no room waits.
const WAITING: usize = 16;

type Asked = (ConnectionEvent, oneshot::Sender<bool>);

/// The executor's end of the observer that a request is given.
pub(super) struct Connections(mpsc::Receiver<Asked>);

#[derive(Debug)]
struct Observer(mpsc::Sender<Asked>);

impl ConnectionObserver for Observer {
    fn observe<'a>(&'a self, event: &'a ConnectionEvent) -> Observed<'a> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            // Where nobody records any more, nothing is opened any more.
            self.0.send((event.clone(), answer)).await.is_ok() && answered.await.unwrap_or(false)
        })
    }
}

impl Connections {
    /// Gives the request an observer.
    pub(super) fn observe(request: &mut SandboxRequest) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        request.observer = Some(Arc::new(Observer(sender)));
        Self(receiver)
    }

    /// Runs to the end of `run`, and records what connections are told of meanwhile.
    pub(super) async fn record_during<T, A: AuditSink>(
        mut self,
        run: impl Future<Output = T>,
        recorder: &Recorder<'_, A>,
    ) -> T {
        let mut run = pin!(run);
        poll_fn(|cx| {
            while let Poll::Ready(Some((event, answer))) = self.0.poll_recv(cx) {
                // A connection that has gone meanwhile wants no answer.
                let _ = answer.send(recorder.connection(&event));
            }
            let ended = run.as_mut().poll(cx);
            if ended.is_ready() {
                // What was told before the end is recorded before the outcome.
                while let Ok((event, _)) = self.0.try_recv() {
                    recorder.connection(&event);
                }
            }
            ended
        })
        .await
    }
}
