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
        // An empty piece is the end: what comes without one was broken off.
        let _ = to.blocking_send(made.map(|()| Bytes::new()));
    });
    let first = pieces.recv().await.ok_or_else(|| {
        let detail = ("nothing was written", "未写入任何内容");
        Problem::new(Kind::Internal, detail)
    })??;
    let rest = stream::unfold(Some((Some(first), pieces)), |left| async {
        let (first, mut pieces) = left?;
        let piece = match first {
            Some(first) => Ok(first),
            None => match pieces.recv().await {
                Some(piece) => piece.map_err(io::Error::other),
                None => Err(io::ErrorKind::BrokenPipe.into()),
            },
        };
        match piece {
            Ok(end) if end.is_empty() => None,
            Ok(piece) => Some((Ok(piece), Some((None, pieces)))),
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .streaming(rest))
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

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;
    use crate::admin::tests::desk;

    /// What a reader gets of it; `None` if it was broken off.
    async fn given(
        make: impl FnOnce(&mut dyn Write) -> Result<(), UpkeepError> + Send + 'static,
    ) -> Option<Vec<u8>> {
        let admin = web::Data::from(desk().admin);
        let answer = streamed(&admin, |_, to| make(to)).await.ok()?;
        let body = to_bytes(answer.into_body()).await.ok()?;
        Some(body.to_vec())
    }

    #[actix_web::test]
    async fn nothing_is_a_stream_too_and_a_part_is_never_taken_for_the_whole() {
        assert_eq!(given(|_| Ok(())).await, Some(Vec::new()));
        let much = vec![b'x'; 3 * PIECE + 1];
        let written = much.clone();
        let whole = given(move |to| Ok(to.write_all(&written)?)).await;
        assert_eq!(whole, Some(much));
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(given(move |_| Err(full().into())).await, None);
        let broken_off = given(move |to| {
            to.write_all(&vec![b'x'; 2 * PIECE])?;
            Err(full().into())
        });
        assert_eq!(broken_off.await, None);
        let panicked = given(|to| {
            to.write_all(&vec![b'x'; 2 * PIECE])?;
            panic!("in the middle")
        });
        assert_eq!(panicked.await, None);
    }
}
