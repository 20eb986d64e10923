//! The HTTP server: slow clients hold up nobody, and what is under way is finished.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

/// How long a client may take over the headers of a request.
const HEADERS: Duration = Duration::from_secs(5);
/// Further clients wait until others have gone.
const CONNECTIONS_MAX: usize = 16_384;
/// How long answers that are under way may take when the server stops.
const GRACE: Duration = Duration::from_secs(5);
/// After an accept that failed, for want of file descriptors perhaps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The next connection, when there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, Option<OwnedSemaphorePermit>)> {
    // An error would mean that the semaphore is closed, which nobody does.
    let place = Arc::clone(places).acquire_owned().await.ok();
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

pub async fn serve(listener: TcpListener, router: Router, mut shutdown: watch::Receiver<bool>) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            _ = shutdown.wait_for(|stop| *stop) => break,
        };
        let (stream, peer, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
            router.clone().oneshot(request)
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that hangs up is no error of ours.
            let _ = connection.await;
            drop(place);
        });
    }
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}
