//! Sends the HTTP requests of components, to granted hosts at allowed addresses only.

use crate::allowed_hosts::AllowedHosts;
use http_body_util::BodyExt as _;
use reqwest::{Client, Url};
use std::time::Duration;
use wasmtime_wasi_http::{Error as HttpError, RequestOptions, WasiBody};

/// Time limit until a response begins, if the component sets none. The time limit of the call ends it earlier.
const TIMEOUT: Duration = Duration::from_mins(10);

/// Ends when the request's connection has ended; a client of its own looks after that.
pub type Finishing = Box<dyn Future<Output = Result<(), HttpError>> + Send>;

/// Sends `request` if the granted hosts allow its URL and the address that its name has now.
pub async fn send(
    granted: Option<(AllowedHosts, Client)>,
    request: http::Request<WasiBody>,
    options: Option<RequestOptions>,
) -> Result<(http::Response<WasiBody>, Finishing), HttpError> {
    let url = Url::parse(&request.uri().to_string()).map_err(|_| HttpError::HttpRequestUriInvalid)?;
    let granted = granted.filter(|(hosts, _)| hosts.check(&url).is_ok());
    let (_, client) = granted.ok_or(HttpError::HttpRequestDenied)?;
    let (parts, body) = request.into_parts();
    let body = reqwest::Body::wrap_stream(body.into_data_stream());
    let request = reqwest::Request::try_from(http::Request::from_parts(parts, body))
        .map_err(|_| HttpError::HttpRequestUriInvalid)?;
    let within = options.and_then(|options| options.first_byte_timeout).unwrap_or(TIMEOUT);
    let response = tokio::time::timeout(within, client.execute(request))
        .await
        .map_err(|_| HttpError::HttpResponseTimeout)?
        .map_err(|error| failure(&error))?;
    let response = http::Response::from(response);
    let response = response.map(|body: reqwest::Body| body.map_err(|error| failure(&error)).boxed_unsync());
    Ok((response, Box::new(std::future::ready(Ok(())))))
}

fn failure(error: &reqwest::Error) -> HttpError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied) {
            return HttpError::DestinationIpProhibited;
        }
        cause = error.source();
    }
    if error.is_timeout() {
        HttpError::ConnectionTimeout
    } else if error.is_connect() {
        HttpError::DestinationUnavailable
    } else {
        HttpError::InternalError(Some(error.to_string()))
    }
}
