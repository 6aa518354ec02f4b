//! The connections of a running command, recorded on the task that runs it.

use super::record::Recorder;
use crate::sandbox::{ConnectionEvent, ConnectionObserver, Observed, SandboxRequest};
use codegenie_security::AuditSink;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use tokio::sync::{mpsc, oneshot};

/// Events that wait to be recorded. A connection whose event finds no room waits.
const WAITING: usize = 16;

type Asked = (ConnectionEvent, oneshot::Sender<bool>);

/// The executor's end of the observer that a request is given.
pub(super) struct Connections {
    asked: mpsc::Receiver<Asked>,
    cut: Cut,
}

/// The ends of connections that the command's end cut off: at most as many as may be open at one time.
type Cut = Arc<Mutex<Vec<ConnectionEvent>>>;

#[derive(Debug)]
struct Observer {
    asks: mpsc::Sender<Asked>,
    cut: Cut,
}

impl ConnectionObserver for Observer {
    fn observe<'a>(&'a self, event: &'a ConnectionEvent) -> Observed<'a> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            // Where nobody records any more, nothing is opened any more.
            self.asks.send((event.clone(), answer)).await.is_ok() && answered.await.unwrap_or(false)
        })
    }

    fn cut_off(&self, event: &ConnectionEvent) {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
    }
}

/// Records what was cut off, also where the run is dropped.
struct RecordsCut<'a, 'b, A: AuditSink>(Cut, &'a Recorder<'b, A>);

impl<A: AuditSink> Drop for RecordsCut<'_, '_, A> {
    fn drop(&mut self) {
        let cut = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for event in cut {
            self.1.connection(&event);
        }
    }
}

impl Connections {
    /// Gives the request an observer.
    pub(super) fn observe(request: &mut SandboxRequest) -> Self {
        let (asks, asked) = mpsc::channel(WAITING);
        let cut = Cut::default();
        request.observer = Some(Arc::new(Observer { asks, cut: Arc::clone(&cut) }));
        Self { asked, cut }
    }

    /// Runs to the end of `run`, and records what connections are told of meanwhile.
    pub(super) async fn record_during<T, A: AuditSink>(
        mut self,
        run: impl Future<Output = T>,
        recorder: &Recorder<'_, A>,
    ) -> T {
        // Dropped after the run, which is what cuts connections off.
        let _records_cut = RecordsCut(Arc::clone(&self.cut), recorder);
        let mut run = pin!(run);
        poll_fn(|cx| {
            while let Poll::Ready(Some((event, answer))) = self.asked.poll_recv(cx) {
                // A connection that has gone meanwhile wants no answer.
                let _ = answer.send(recorder.connection(&event));
            }
            let ended = run.as_mut().poll(cx);
            if ended.is_ready() {
                // What was told before the end is recorded before the outcome.
                while let Ok((event, _)) = self.asked.try_recv() {
                    recorder.connection(&event);
                }
            }
            ended
        })
        .await
    }
}
