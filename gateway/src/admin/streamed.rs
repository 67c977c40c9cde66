//! Streams: what is written as it is given out, on a blocking thread that ends when the reader goes
//! away. An error in the middle cuts the connection, so that nobody takes a part for the whole.

use std::io::{self, Write};
use std::sync::Arc;

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;

use super::Admin;
use super::problem::{Kind, Problem};
use crate::outbox::{Outbox, UpkeepError};

/// Bytes in one piece of a stream.
const PIECE: usize = 64 << 10;
/// Pieces on their way.
const PIECES: usize = 4;

/// Gives out what `make` writes. Whatever fails before the first piece is an answer of its own.
pub(super) async fn streamed(
    admin: &web::Data<Admin>,
    make: impl FnOnce(&dyn Outbox, &mut dyn Write) -> Result<(), UpkeepError> + Send + 'static,
) -> Result<HttpResponse, Problem> {
    let (to, mut pieces) = mpsc::channel::<Result<Bytes, UpkeepError>>(PIECES);
    let outbox = Arc::clone(&admin.outbox);
    // What is logged on the thread says who asked, as everywhere.
    let asked = tracing::Span::current();
    actix_web::rt::task::spawn_blocking(move || {
        let _asked = asked.enter();
        let mut stream = io::BufWriter::with_capacity(PIECE, Stream(to.clone()));
        let made = make(&*outbox, &mut stream);
        let made = made.and_then(|()| Ok(stream.flush()?));
        if let Err(error) = made {
            let _ = to.blocking_send(Err(error));
        }
    });
    match pieces.recv().await {
        Some(Ok(first)) => {
            let rest = stream::unfold((Some(first), pieces), |(first, mut pieces)| async {
                let piece = match first {
                    Some(first) => Ok(first),
                    None => pieces.recv().await?,
                };
                Some((piece.map_err(io::Error::other), (None, pieces)))
            });
            Ok(HttpResponse::Ok()
                .content_type("application/octet-stream")
                .streaming(rest))
        }
        Some(Err(error)) => Err(error.into()),
        None => Err(Problem::new(
            Kind::Internal,
            ("nothing was written", "未写入任何内容"),
        )),
    }
}

/// The sending end of a stream.
struct Stream(mpsc::Sender<Result<Bytes, UpkeepError>>);

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Ok(Bytes::copy_from_slice(bytes));
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.blocking_send(piece).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
