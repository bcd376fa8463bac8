//! Packing: one pass over the files gives the compressed layer, its digest, its diff ID and the digest of every file.
//!
//! Four stages pass blocks on: the reader (headers, file contents, digests of the files), the hasher (diff ID, CRC-32), the
//! workers (compression) and the writer (digest of the blob, sink), which is the calling thread.

use std::io::Write;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};

use flate2::Crc;

use super::encode::{BLOCK, Codec};
use super::ring::Block;
use super::{Error, read_files};
use crate::observe::{Event, Observer};
use crate::oci::{Algorithm, Descriptor, DiffId, Digest, DigestWriter, Hasher, ImagePath};
use crate::plan::{EncoderId, LayerPlan};

/// Most workers that packing uses. Each holds about 3 MiB (two blocks and the encoder's state; 6 MiB for zstd), so this
/// bounds memory on machines with many cores.
pub const MAX_THREADS: usize = 8;

/// Blocks in flight beyond one for each worker: one being read, one being hashed, two waiting to be written.
const SPARE_BLOCKS: usize = 4;

/// How to pack; nothing here changes the bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct PackOptions {
    /// Compressing threads, at most [`MAX_THREADS`]; 0 means as many as the process may use.
    pub threads: usize,
}

/// What packing found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Media type, digest and size of the compressed layer.
    pub descriptor: Descriptor,
    /// Digest of the tar.
    pub diff_id: DiffId,
    /// Path, sha256 digest and size in bytes of every regular file, in the order of the entries.
    pub files: Vec<(ImagePath, Digest, u64)>,
    /// Size of the tar in bytes.
    pub tar_size: u64,
}

/// Packs a layer into `out` with the frozen encoder `encoder`. `created` is the time stamp of every entry in seconds since
/// the epoch. After an error, what was written to `out` is worthless.
///
/// # Errors
/// [`Error`], by cause: entries out of order, a file that cannot be read or has changed, a sink that takes no more.
pub fn pack(
    layer: &LayerPlan,
    created: u64,
    encoder: EncoderId,
    options: &PackOptions,
    observer: &dyn Observer,
    out: &mut dyn Write,
) -> Result<Packed, Error> {
    pack_with(layer, created, Codec::frozen(encoder), options, observer, out)
}

/// As [`pack`], with any codec and level. For measurements: only what [`Codec::frozen`] gives has bytes that never change.
///
/// # Errors
/// As [`pack`].
pub fn pack_with(
    layer: &LayerPlan,
    created: u64,
    codec: Codec,
    options: &PackOptions,
    observer: &dyn Observer,
    out: &mut dyn Write,
) -> Result<Packed, Error> {
    read_files::check(layer)?;
    let headers_and_size = read_files::tar_size(layer, created)?;
    let workers = workers(options, headers_and_size);
    observer.event(Event::Begin { id: &layer.name, verb: "packing", total: Some(headers_and_size) });
    let packed = thread::scope(|scope| run(scope, layer, created, codec, workers, observer, out))?;
    observer.event(Event::End { id: &layer.name, note: "" });
    Ok(packed)
}

/// No more workers than there are blocks, so that small layers cost little.
fn workers(options: &PackOptions, size: u64) -> usize {
    let asked = match options.threads {
        0 => thread::available_parallelism().map_or(1, NonZero::get),
        threads => threads,
    };
    let blocks = usize::try_from(size.div_ceil(BLOCK as u64)).unwrap_or(usize::MAX);
    asked.min(MAX_THREADS).min(blocks).max(1)
}

/// A block to encode, and where the writer waits for it.
struct Job {
    block: Block,
    reply: SyncSender<Result<Block, Error>>,
}

/// Where the encoded block will arrive.
type Reply = Receiver<Result<Block, Error>>;

/// What the hasher knows at the end.
struct Sums {
    diff_id: Digest,
    crc: u32,
    size: u64,
}

/// Starts the stages, writes what they give, and says the first reason if one of them failed.
fn run<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    layer: &'env LayerPlan,
    created: u64,
    codec: Codec,
    workers: usize,
    observer: &'env dyn Observer,
    out: &mut dyn Write,
) -> Result<Packed, Error> {
    let (free_in, free) = channel();
    let (full_in, full) = channel();
    let (jobs_in, jobs) = channel();
    let (order_in, order) = channel();
    for _ in 0..workers + SPARE_BLOCKS {
        // Nobody has dropped the receiver yet.
        let _ = free_in.send(Block::new());
    }
    let encoders = (0..workers).map(|_| codec.encoder()).collect::<Result<Vec<_>, _>>()?;
    let reader = spawn(scope, "read", move || read_files::read(layer, created, observer, free, full_in))?;
    let hasher = spawn(scope, "hash", move || hash(&full, &jobs_in, &order_in))?;
    let jobs = std::sync::Arc::new(Mutex::new(jobs));
    for mut encoder in encoders {
        let jobs = std::sync::Arc::clone(&jobs);
        spawn(scope, "encode", move || {
            // The lock is released before the block is encoded. A poisoned lock means that a worker has panicked.
            while let Ok(Ok(Job { mut block, reply })) = jobs.lock().map(|jobs| jobs.recv()) {
                let done = block.encode(&mut encoder).map(|()| block);
                if reply.send(done).is_err() {
                    break;
                }
            }
        })?;
    }
    drop(jobs);

    let mut sink = DigestWriter::new(out, Algorithm::Sha256);
    let written = write(&layer.name, codec, order, free_in, &mut sink, observer);
    let sums = join(hasher);
    let files = join(reader);
    // The reader's failure is the cause of an early end, the writer's failure the cause of the reader's.
    written?;
    let files = files?;
    sink.write_all(&codec.epilogue(sums.crc, sums.size)).map_err(Error::Write)?;
    sink.flush().map_err(Error::Write)?;
    let (_, digest, size) = sink.finish();
    Ok(Packed {
        descriptor: Descriptor::new(codec.media_type(), digest, size),
        diff_id: DiffId(sums.diff_id),
        files,
        tar_size: sums.size,
    })
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, Error> {
    thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work).map_err(Error::Thread)
}

fn join<T>(handle: ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Adds every block to the diff ID and hands it to the workers, telling the writer the order.
fn hash(full: &Receiver<Block>, jobs: &Sender<Job>, order: &Sender<Reply>) -> Sums {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut crc = Crc::new();
    let mut size = 0;
    for block in full {
        hasher.update(block.data());
        crc.update(block.data());
        size += block.data().len() as u64;
        let (reply, wait) = sync_channel(1);
        if order.send(wait).is_err() || jobs.send(Job { block, reply }).is_err() {
            break;
        }
    }
    Sums { diff_id: hasher.finish(), crc: crc.sum(), size }
}

/// Writes the blocks in order and gives them back to the reader.
fn write(
    id: &str,
    codec: Codec,
    order: Receiver<Reply>,
    free: Sender<Block>,
    sink: &mut DigestWriter<&mut dyn Write>,
    observer: &dyn Observer,
) -> Result<(), Error> {
    sink.write_all(codec.prologue()).map_err(Error::Write)?;
    for reply in order {
        // A worker that panicked gives no reply; the scope passes its panic on.
        let Ok(block) = reply.recv() else { break };
        let block = block?;
        if observer.cancelled() {
            return Err(Error::Cancelled);
        }
        sink.write_all(block.encoded()).map_err(Error::Write)?;
        observer.event(Event::Advance { id, bytes: block.data().len() as u64 });
        // The reader may have ended already.
        let _ = free.send(block);
    }
    Ok(())
}
