//! From signals to a token that ends everything in order.

use futures::stream::{Stream, StreamExt};
use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit status of a process that a signal ended, as shells count it, less the signal's number.
const EXIT_BY_SIGNAL: i32 = 128;

/// Turns the first SIGTERM or SIGINT into the token's cancellation. A second one ends the process at once, for the
/// person who does not want to wait for the drain. Needs a tokio runtime.
///
/// # Errors
/// Where the handlers cannot be installed.
pub fn install_signals(token: CancellationToken) -> io::Result<()> {
    let terminate = numbered(SignalKind::terminate())?;
    let interrupt = numbered(SignalKind::interrupt())?;
    let signals = futures::stream::select(terminate, interrupt);
    tokio::spawn(cancel_on_signals(signals, token, |number| {
        std::process::exit(EXIT_BY_SIGNAL + number)
    }));
    Ok(())
}

/// The rule of [`install_signals`] over any stream of signal numbers: the first cancels, the second exits.
pub async fn cancel_on_signals(
    signals: impl Stream<Item = i32> + Send,
    token: CancellationToken,
    exit: impl FnOnce(i32) + Send,
) {
    let mut signals = std::pin::pin!(signals);
    let Some(number) = signals.next().await else { return };
    tracing::info!(signal = number, "stopping; a second signal ends the process at once");
    token.cancel();
    if let Some(number) = signals.next().await {
        exit(number);
    }
}

fn numbered(kind: SignalKind) -> io::Result<impl Stream<Item = i32> + Send + 'static> {
    let number = kind.as_raw_value();
    let handler = signal(kind)?;
    Ok(futures::stream::unfold(handler, move |mut handler| async move {
        handler.recv().await;
        Some((number, handler))
    })
    .boxed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn the_first_signal_cancels_and_the_second_exits_with_its_number() {
        let (sender, mut receiver) = mpsc::channel(2);
        let token = CancellationToken::new();
        let exited = Mutex::new(None);
        let signals = futures::stream::poll_fn(|context| receiver.poll_recv(context));
        let rule = cancel_on_signals(signals, token.clone(), |number| *exited.lock().unwrap() = Some(number));
        let person = async {
            sender.send(15).await.unwrap();
            token.cancelled().await;
            assert_eq!(*exited.lock().unwrap(), None);
            sender.send(2).await.unwrap();
        };
        tokio::join!(rule, person);
        assert_eq!(*exited.lock().unwrap(), Some(2));
    }
}
