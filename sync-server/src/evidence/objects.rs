//! Where complete pieces rest: a folder, or a bucket of an S3-compatible store.
//! What rests there is what travelled, byte for byte, still encrypted.
//!
//! A piece appears under its name only as a whole. In a folder it is renamed
//! there from where it arrived, and file and folders are flushed; in a bucket it
//! is written in parts that become an object at the end.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use axum::body::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload,
};

use shaodao_core::domain::ids::SealedId;
use shaodao_core::points::{Point, pass};

use super::settings::Settings;

/// Part of a piece on its way into a bucket, bytes; such stores take no smaller
/// ones, and at most 10,000 of them.
const PART_BYTES: u64 = 5 << 20;
/// Where pieces are, in a folder or bucket.
const PIECES: &str = "pieces";
/// Where their thumbnails are.
const THUMBNAILS: &str = "thumbnails";

/// The store could not.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// The store says no.
    #[error("where evidence is kept: {0}")]
    Store(#[from] object_store::Error),
    /// A file says no.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// Settings that do not fit together.
    #[error("configuration: {0}")]
    Settings(&'static str),
}

/// Complete pieces.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// The folder, if it is one.
    folder: Option<PathBuf>,
}

/// A name in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// A piece, by the hash of its ciphertext.
    Piece(SealedId),
    /// The thumbnail of a piece.
    Thumbnail(SealedId),
}

impl Name {
    fn path(&self) -> Path {
        let (kind, sealed) = match self {
            Self::Piece(sealed) => (PIECES, sealed),
            Self::Thumbnail(sealed) => (THUMBNAILS, sealed),
        };
        let hex = sealed.to_string();
        // Not all in one folder: some file systems grow slow.
        let shard = hex[..2].to_owned();
        Path::from_iter([kind, &shard, &hex])
    }
}

impl Objects {
    /// Opens what the settings name; a folder is made if need be.
    ///
    /// # Errors
    /// See [`ObjectsError`].
    pub fn open(settings: &Settings, data: &FilePath) -> Result<Self, ObjectsError> {
        if settings.s3_bucket.is_some() {
            return Ok(Self {
                store: bucket(settings)?,
                folder: None,
            });
        }
        let folder = match &settings.folder {
            Some(folder) => folder.clone(),
            None => data.join("evidence"),
        };
        std::fs::create_dir_all(&folder).map_err(|error| ObjectsError::File {
            path: folder.clone(),
            error,
        })?;
        let store = LocalFileSystem::new_with_prefix(&folder)?.with_fsync(true);
        Ok(Self {
            store: Arc::new(store),
            folder: Some(folder),
        })
    }

    /// Makes the folders of a folder that pieces go into, so that no piece has to
    /// wait until its own is made and flushed.
    ///
    /// # Errors
    /// The disk does not.
    pub fn prepare(&self) -> Result<(), ObjectsError> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let pieces = folder.join(PIECES);
        let shelf = |first: u8| pieces.join(format!("{first:02x}"));
        // The last one is made last.
        if shelf(u8::MAX).is_dir() {
            return Ok(());
        }
        let made = (0..=u8::MAX)
            .try_for_each(|first| std::fs::create_dir_all(shelf(first)))
            .and_then(|()| flush_folder(&pieces))
            .and_then(|()| flush_folder(folder));
        made.map_err(|error| ObjectsError::File {
            path: pieces,
            error,
        })
    }

    /// The folder, if it is one.
    pub fn folder(&self) -> Option<&FilePath> {
        self.folder.as_deref()
    }

    /// What is there under a name; `None` if nothing is.
    ///
    /// # Errors
    /// See [`ObjectsError`].
    pub async fn size(&self, name: &Name) -> Result<Option<u64>, ObjectsError> {
        match self.store.head(&name.path()).await {
            Ok(ObjectMeta { size, .. }) => Ok(Some(size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the file at `from`, whose bytes are on the disk, the object of this
    /// name; the file is gone afterwards. Doing it again does no harm.
    ///
    /// # Errors
    /// See [`ObjectsError`]; there is no object then, or the whole one.
    pub async fn adopt(&self, name: &Name, from: &FilePath) -> Result<(), ObjectsError> {
        let file_error = |error| ObjectsError::File {
            path: from.to_owned(),
            error,
        };
        match &self.folder {
            Some(folder) => {
                let to = folder.join(name.path().as_ref());
                let from = from.to_owned();
                let moved = blocking(move || move_durably(&from, &to)).await;
                moved.map_err(file_error)
            }
            None => {
                self.write(name, from).await?;
                // Left behind by a crash it would only be swept later.
                std::fs::remove_file(from).map_err(file_error)
            }
        }
    }

    /// Writes a file in parts, one in memory at a time.
    async fn write(&self, name: &Name, from: &FilePath) -> Result<(), ObjectsError> {
        let parts = FileParts::open(from).map_err(|error| ObjectsError::File {
            path: from.to_owned(),
            error,
        })?;
        if parts.size <= PART_BYTES {
            let (_, whole) = parts.next().await?;
            let payload = PutPayload::from_bytes(whole);
            self.store.put(&name.path(), payload).await?;
            return Ok(());
        }
        let mut upload = self.store.put_multipart(&name.path()).await?;
        let written = write_parts(upload.as_mut(), parts).await;
        if written.is_err() {
            // What is left of it costs room until the store sweeps it.
            let _ = upload.abort().await;
        }
        written
    }

    /// Puts a small object that is in memory.
    ///
    /// # Errors
    /// See [`ObjectsError`].
    pub async fn put(&self, name: &Name, bytes: Vec<u8>) -> Result<(), ObjectsError> {
        let payload = PutPayload::from_bytes(bytes.into());
        self.store.put(&name.path(), payload).await?;
        Ok(())
    }

    /// Reads an object or a range of it, piece by piece; `None` if there is none.
    ///
    /// # Errors
    /// See [`ObjectsError`].
    pub async fn read(
        &self,
        name: &Name,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<Option<ByteStream>, ObjectsError> {
        let options = GetOptions {
            range: range.map(GetRange::Bounded),
            ..GetOptions::default()
        };
        match self.store.get_opts(&name.path(), options).await {
            Ok(found) => Ok(Some(found.into_stream())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes an object; that there is none is no error.
    ///
    /// # Errors
    /// See [`ObjectsError`].
    pub async fn remove(&self, name: &Name) -> Result<(), ObjectsError> {
        match self.store.delete(&name.path()).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// An object as it comes.
pub type ByteStream =
    std::pin::Pin<Box<dyn futures_core::Stream<Item = Result<Bytes, object_store::Error>> + Send>>;

async fn write_parts(
    upload: &mut dyn MultipartUpload,
    mut parts: FileParts,
) -> Result<(), ObjectsError> {
    while parts.at < parts.size {
        let (next, part) = parts.next().await?;
        parts = next;
        upload.put_part(PutPayload::from_bytes(part)).await?;
    }
    upload.complete().await?;
    Ok(())
}

/// A file read in parts.
struct FileParts {
    path: PathBuf,
    file: std::fs::File,
    at: u64,
    size: u64,
}

impl FileParts {
    fn open(path: &FilePath) -> std::io::Result<Self> {
        let file = std::fs::File::open(path)?;
        Ok(Self {
            path: path.to_owned(),
            size: file.metadata()?.len(),
            file,
            at: 0,
        })
    }

    async fn next(mut self) -> Result<(Self, Bytes), ObjectsError> {
        let path = self.path.clone();
        let read = blocking(move || {
            let length = PART_BYTES.min(self.size - self.at);
            let mut part = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
            self.file.seek(SeekFrom::Start(self.at))?;
            (&mut self.file).take(length).read_to_end(&mut part)?;
            self.at += length;
            Ok((self, Bytes::from(part)))
        });
        read.await
            .map_err(|error| ObjectsError::File { path, error })
    }
}

/// Renames a file into another folder, and flushes both folders.
fn move_durably(from: &FilePath, to: &FilePath) -> std::io::Result<()> {
    let shelf = to.parent().unwrap_or(FilePath::new("."));
    if !shelf.is_dir() {
        std::fs::create_dir_all(shelf)?;
        for above in shelf.ancestors().skip(1).take(2) {
            flush_folder(above)?;
        }
    }
    match std::fs::rename(from, to) {
        // Two folders on two disks.
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
            let half = to.with_extension("half");
            let copied = std::fs::copy(from, &half)
                .and_then(|_| std::fs::File::open(&half)?.sync_all())
                .and_then(|()| std::fs::rename(&half, to));
            if copied.is_err() {
                // It takes room where there is none.
                let _ = std::fs::remove_file(&half);
            }
            copied?;
            flush_folder(shelf)?;
            std::fs::remove_file(from)?;
        }
        renamed => renamed?,
    }
    pass(Point::ObjectMoved);
    flush_folder(shelf)?;
    pass(Point::ObjectKept);
    Ok(())
}

/// A rename is on the disk once its folder is.
pub(crate) fn flush_folder(folder: &FilePath) -> std::io::Result<()> {
    match cfg!(unix) {
        true => std::fs::File::open(folder)?.sync_all(),
        // Elsewhere a folder cannot be opened like a file.
        false => Ok(()),
    }
}

#[cfg(feature = "s3")]
fn bucket(settings: &Settings) -> Result<Arc<dyn ObjectStore>, ObjectsError> {
    use object_store::aws::AmazonS3Builder;
    use object_store::{ClientOptions, RetryConfig};

    // A phone waits for the answer, and comes again by itself.
    const MOST_RETRIES: usize = 3;
    // A part over a slow line, or a slow store that puts an object together.
    const PART_WITHIN: std::time::Duration = std::time::Duration::from_secs(300);
    const RETRY_WITHIN: std::time::Duration = std::time::Duration::from_secs(20);
    // Whoever came first has chosen the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = ClientOptions::new()
        .with_allow_http(settings.s3_allow_http)
        .with_timeout(PART_WITHIN);
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(settings.s3_bucket.clone().unwrap_or_default())
        .with_region(&settings.s3_region)
        .with_retry(RetryConfig {
            max_retries: MOST_RETRIES,
            retry_timeout: RETRY_WITHIN,
            ..RetryConfig::default()
        })
        .with_client_options(options)
        // One at a time: not every store that speaks S3 answers for many.
        .with_disable_bulk_delete(true);
    if let Some(endpoint) = &settings.s3_endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    match (&settings.s3_access_key, &settings.s3_secret_key) {
        (Some(name), Some(secret)) => {
            builder = builder
                .with_access_key_id(name)
                .with_secret_access_key(&secret.0);
        }
        _ => {
            return Err(ObjectsError::Settings(
                "evidence.s3_bucket needs evidence.s3_access_key and evidence.s3_secret_key",
            ));
        }
    }
    Ok(Arc::new(builder.build()?))
}

#[cfg(not(feature = "s3"))]
fn bucket(_: &Settings) -> Result<Arc<dyn ObjectStore>, ObjectsError> {
    Err(ObjectsError::Settings(
        "evidence.s3_bucket is set, but this server was built without the feature s3: \
         cargo build --release -p shaodao-server --features s3",
    ))
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(std::io::Error::other(error)),
    }
}
