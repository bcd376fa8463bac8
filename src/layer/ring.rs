//! Blocks on their way through the stages of packing.
//!
//! A fixed number of blocks goes round: the reader fills one, the hasher adds it to the diff ID, some worker encodes it,
//! the writer puts it out in order and gives it back. So memory does not grow with the layer, and a slow stage holds up
//! the others. Each channel ends when its sender is dropped, whatever the reason, so a failing stage stops the rest.

use std::sync::mpsc::{Receiver, Sender};

use super::encode::{BLOCK, DICTIONARY, OUTPUT};

/// A piece of the tar with the bytes before it, and its encoded form.
pub(super) struct Block {
    /// The dictionary right-aligned before `DICTIONARY`, the data after it.
    buffer: Vec<u8>,
    dictionary: usize,
    length: usize,
    /// Whether the tar ends with it.
    pub(super) last: bool,
    output: Vec<u8>,
    encoded: Option<usize>,
}

impl Block {
    /// An empty block. Its pages are touched only when they are used, so a small layer stays small in memory.
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; DICTIONARY + BLOCK],
            dictionary: 0,
            length: 0,
            last: false,
            output: vec![0; OUTPUT],
            encoded: None,
        }
    }

    /// The tar bytes.
    pub(super) fn data(&self) -> &[u8] {
        &self.buffer[DICTIONARY..DICTIONARY + self.length]
    }

    /// What goes out: the encoded bytes, or the data where the encoder leaves it as it is.
    pub(super) fn encoded(&self) -> &[u8] {
        self.encoded.map_or_else(|| self.data(), |length| &self.output[..length])
    }

    /// Lets `encoder` write the encoded form.
    pub(super) fn encode(&mut self, encoder: &mut super::encode::Encoder) -> Result<(), super::Error> {
        let dictionary = &self.buffer[DICTIONARY - self.dictionary..DICTIONARY];
        let data = &self.buffer[DICTIONARY..DICTIONARY + self.length];
        self.encoded = encoder.block(dictionary, data, self.last, &mut self.output)?;
        Ok(())
    }

    fn free(&mut self) -> &mut [u8] {
        &mut self.buffer[DICTIONARY + self.length..]
    }

    /// Begins the block anew, behind `previous`.
    fn restart(&mut self, previous: &Self) {
        let tail = &previous.data()[previous.length.saturating_sub(DICTIONARY)..];
        self.dictionary = tail.len();
        self.buffer[DICTIONARY - tail.len()..DICTIONARY].copy_from_slice(tail);
        (self.length, self.last, self.encoded) = (0, false, None);
    }
}

/// The stages after this one have ended; the reason is theirs to tell.
pub(super) struct Closed;

/// Cuts a stream of bytes into blocks. Exactly [`BLOCK`] bytes go into each but the last.
pub(super) struct Filler {
    current: Block,
    free: Receiver<Block>,
    full: Sender<Block>,
}

impl Filler {
    /// Takes empty blocks from `free` and sends full ones to `full`.
    pub(super) fn new(free: Receiver<Block>, full: Sender<Block>) -> Result<Self, Closed> {
        let current = free.recv().map_err(|_| Closed)?;
        Ok(Self { current, free, full })
    }

    /// Room for the next bytes, never empty; [`Filler::advance`] says how much of it was used.
    pub(super) fn space(&mut self) -> Result<&mut [u8], Closed> {
        if self.current.free().is_empty() {
            let mut next = self.free.recv().map_err(|_| Closed)?;
            next.restart(&self.current);
            let full = std::mem::replace(&mut self.current, next);
            self.full.send(full).map_err(|_| Closed)?;
        }
        Ok(self.current.free())
    }

    /// Takes the first `length` bytes of the room as written.
    pub(super) fn advance(&mut self, length: usize) {
        self.current.length += length;
    }

    /// Appends `bytes`.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), Closed> {
        while !bytes.is_empty() {
            let space = self.space()?;
            let (now, later) = bytes.split_at(bytes.len().min(space.len()));
            space[..now.len()].copy_from_slice(now);
            self.advance(now.len());
            bytes = later;
        }
        Ok(())
    }

    /// Appends `count` zeros.
    pub(super) fn zeros(&mut self, mut count: usize) -> Result<(), Closed> {
        const ZEROS: [u8; super::tar::BLOCK] = [0; super::tar::BLOCK];
        while count > 0 {
            let now = count.min(ZEROS.len());
            self.push(&ZEROS[..now])?;
            count -= now;
        }
        Ok(())
    }

    /// Sends the last block.
    pub(super) fn finish(mut self) -> Result<(), Closed> {
        self.current.last = true;
        self.full.send(self.current).map_err(|_| Closed)
    }
}
