//! The OpenAPI document, generated from the handlers.

use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder};

use crate::access::COOKIE;
use crate::route;

/// What is said of the API as a whole.
pub fn frame() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Towpath")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Everything that people can ask of Towpath. Errors are problems (RFC 9457). Lists come in pages: \
             pass `next` of one as `after` for the next. Times are RFC 3339 in UTC, durations are seconds.",
        ));
    let token = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    let session = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(COOKIE)));
    let components = ComponentsBuilder::new()
        .security_scheme("token", token)
        .security_scheme("session", session)
        .build();
    OpenApiBuilder::new()
        .info(info.build())
        .components(Some(components))
        .security(Some([
            utoipa::openapi::SecurityRequirement::new("token", Vec::<String>::new()),
            utoipa::openapi::SecurityRequirement::new("session", Vec::<String>::new()),
        ]))
        .build()
}

/// The whole document.
pub fn document() -> OpenApi {
    route::document()
}
