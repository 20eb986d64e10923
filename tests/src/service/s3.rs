//! An S3 store on a folder, with real signatures.

use std::path::{Path, PathBuf};

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tokio::net::TcpListener;

const ACCESS_KEY: &str = "AKIATOWPATH";
const SECRET_KEY: &str = "not/a+secret";

/// Ends with the test's runtime.
pub struct S3 {
    root: PathBuf,
    pub endpoint: String,
}

impl S3 {
    pub async fn start(dir: &Path) -> anyhow::Result<Self> {
        let root = dir.join("s3");
        std::fs::create_dir(&root)?;
        let files = FileSystem::new(&root).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let server = Builder::new(TokioExecutor::new());
                    // A client that goes away is no concern of the server's.
                    let _ = server.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Ok(Self { root, endpoint })
    }

    /// A connection to it, as Airflow writes them.
    pub fn connection(&self, secret: Option<&str>) -> String {
        let secret = secret.unwrap_or(SECRET_KEY);
        format!(
            r#"{{"conn_type": "aws", "login": "{ACCESS_KEY}", "password": "{secret}",
                "extra": {{"endpoint_url": "{}", "region_name": "eu-west-1"}}}}"#,
            self.endpoint
        )
    }

    /// Puts an object there, as the store itself keeps it.
    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.root.join(bucket).join(key);
        std::fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
        Ok(std::fs::write(path, bytes)?)
    }
}
