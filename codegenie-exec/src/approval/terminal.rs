//! Asking a person at a terminal.

use super::{Approval, ApprovalRequest, Approver, GrantScope};
use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use tokio::sync::oneshot;

/// Asks over a reader and a writer, one question at a time.
///
/// Every question has a number, and only an answer that names it counts: what was typed before the
/// question was seen, or after its time was over, answers nothing. What the command holds is shown
/// with its control characters replaced, so that it cannot draw over the question.
#[derive(Clone, Debug)]
pub struct PromptApprover {
    questions: Arc<Mutex<mpsc::Sender<Question>>>,
}

#[derive(Debug)]
struct Question {
    text: String,
    /// Whether a yes may hold for longer than this once. An edit's never does.
    may_last: bool,
    answer: oneshot::Sender<Approval>,
}

/// How long an answer `always` holds in its session.
const SESSION: Duration = Duration::from_secs(8 * 3600);

impl PromptApprover {
    /// Asks on the process's terminal: `/dev/tty`, whatever its standard streams are.
    pub fn terminal(approver: impl Into<String>) -> std::io::Result<Self> {
        let tty = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let reader = std::io::BufReader::new(tty.try_clone()?);
        Ok(Self::new(reader, tty, approver))
    }

    /// Asks over `writer`, reads answers from `reader`. `approver` is who sits there.
    pub fn new(
        reader: impl BufRead + Send + 'static,
        writer: impl Write + Send + 'static,
        approver: impl Into<String>,
    ) -> Self {
        let (questions, asked) = mpsc::channel();
        let approver = approver.into();
        // It ends when no handle is left; until then it may wait for a line.
        std::thread::spawn(move || ask_in_turn(reader, writer, &approver, &asked));
        Self { questions: Arc::new(Mutex::new(questions)) }
    }
}

impl Approver for PromptApprover {
    async fn decide(&self, request: &ApprovalRequest) -> Approval {
        let (answer, answered) = oneshot::channel();
        let question = Question { text: shown(request), may_last: request.diff.is_none(), answer };
        let sent = self.questions.lock().unwrap_or_else(PoisonError::into_inner).send(question);
        match (sent, answered.await) {
            (Ok(()), Ok(approval)) => approval,
            _ => Approval::refused("nobody", "the terminal is gone"),
        }
    }
}

/// Lines as they are typed, read apart so that a question whose time is over does not hold up the next.
fn lines(mut reader: impl BufRead + Send + 'static) -> mpsc::Receiver<String> {
    let (typed, lines) = mpsc::channel();
    std::thread::spawn(move || {
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if typed.send(line).is_err() => return,
                Ok(_) => {}
            }
        }
    });
    lines
}

/// How often it is looked whether a question's time is over.
const LOOK: Duration = Duration::from_millis(100);

fn ask_in_turn(
    reader: impl BufRead + Send + 'static,
    mut writer: impl Write,
    approver: &str,
    questions: &mpsc::Receiver<Question>,
) {
    let lines = lines(reader);
    for (number, question) in questions.iter().enumerate() {
        let number = number + 1;
        if question.answer.is_closed() {
            continue;
        }
        let lasting =
            if question.may_last { format!("always {number}: in this session    ") } else { String::new() };
        let choice = format!("  yes {number}: this once    {lasting}anything else: no\n> ");
        if write!(writer, "{}\n{choice}", question.text).and_then(|()| writer.flush()).is_err() {
            return;
        }
        let approval = loop {
            if question.answer.is_closed() {
                break None;
            }
            let line = match lines.recv_timeout(LOOK) {
                Ok(line) => line,
                Err(mpsc::RecvTimeoutError::Timeout) => continue,
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            };
            let words: Vec<&str> = line.split_whitespace().collect();
            let named = words.get(1).map(|text| text.parse::<usize>());
            match (words.first().copied(), named) {
                (Some("yes" | "y"), Some(Ok(named))) if named == number => {
                    break Some(Approval::granted(approver));
                }
                (Some("always"), Some(Ok(named))) if named == number && question.may_last => {
                    break Some(Approval {
                        scope: GrantScope::Session(SESSION),
                        ..Approval::granted(approver)
                    });
                }
                // It was meant for another question.
                (Some("yes" | "y" | "always"), _) => {
                    if write!(writer, "this is question {number}: {choice}")
                        .and_then(|()| writer.flush())
                        .is_err()
                    {
                        return;
                    }
                }
                _ => break Some(Approval::refused(approver, line.trim())),
            }
        };
        if let Some(approval) = approval {
            let _ = question.answer.send(approval);
        }
    }
}

fn shown(request: &ApprovalRequest) -> String {
    let what = if request.diff.is_some() { "change files" } else { "run" };
    let agent = request.agent.as_ref().map(|agent| format!(" (agent {})", plain(agent))).unwrap_or_default();
    let mut text = format!(
        "\n{}{agent} wants to {what}, in {}; there are {} s to answer:\n",
        plain(&request.user),
        plain(&request.cwd.display().to_string()),
        request.deadline.as_secs()
    );
    for line in plain(&request.command).lines() {
        text.push_str("    ");
        text.push_str(line);
        text.push('\n');
    }
    for (name, value) in &request.environment {
        text.push_str(&format!("  with {}={}\n", plain(name), plain(value).replace('\n', " ")));
    }
    for part in &request.verdict.parts {
        if part.decision != crate::Decision::Allow {
            text.push_str(&format!(
                "  {}: {} ({})\n",
                part.decision,
                plain(&part.part).replace('\n', " "),
                plain(&part.reason)
            ));
        }
    }
    if let Some(privileges) = &request.privileges {
        let given = match (privileges.writes, privileges.network) {
            (false, false) => "nothing to write or to reach",
            (true, false) => "what the sandbox lets be written",
            (false, true) => "what the sandbox lets be reached",
            (true, true) => "what the sandbox lets be written and reached",
        };
        text.push_str(&format!("  it would be given {given}\n"));
    }
    if let Some(input) = &request.input {
        text.push_str("  with this on its standard input:\n");
        text.push_str(&indented(input));
    }
    if let Some(diff) = &request.diff {
        text.push_str(&indented(diff));
    }
    text
}

/// Line by line. A carriage return is shown like any other character that is not seen.
fn indented(content: &str) -> String {
    let mut text = String::new();
    for line in content.strip_suffix('\n').unwrap_or(content).split('\n') {
        text.push_str("    ");
        text.push_str(&plain(line));
        text.push('\n');
    }
    text
}

/// Text that draws nothing but itself: what moves the cursor, is not seen or turns the direction is written out.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' | '\'' | '"' | '\\' => plain.push(c),
            _ => plain.extend(c.escape_debug()),
        }
    }
    plain
}
