package seal

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/tipmesh/tipmesh/protocol"
)

const (
	skippableMagic = 0x184D2A50 // first of the sixteen of RFC 8878 section 3.1.2
	skippableHead  = 8          // magic and length, four bytes each
	maxBlock       = 128 << 10  // RFC 8878 section 3.1.1.2.4
	workers        = 2          // compressors and decompressors at work at once, for bounded memory
)

// One encoder and one decoder serve all callers: EncodeAll and DecodeAll are
// safe for concurrent use, and wait while all workers are busy.
var (
	encoder = sync.OnceValue(func() *zstd.Encoder {
		// Of bundles of indicators the fastest level makes less than the default, in
		// 60 % of its time; of reports 1 % more.
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(workers), zstd.WithWindowSize(1<<20), zstd.WithEncoderLevel(zstd.SpeedFastest),
			// Otherwise frames under 256 bytes carry no content size.
			zstd.WithSingleSegment(true))
		if err != nil {
			panic(err) // the options are constants
		}
		return e
	})
	decoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(workers), zstd.WithDecoderMaxMemory(protocol.MaxOpened),
			zstd.WithDecoderMaxWindow(protocol.MaxOpened), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderLowmem(true))
		if err != nil {
			panic(err)
		}
		return d
	})
)

// Padme is the smallest length of at least n that Padmé allows (Nikitin et al.,
// "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs",
// PETS 2019): of L bits it reveals only about log2(log2 L), for at most 12 % more
// bytes. n is in bytes and not negative.
func Padme(n int) int {
	if n < 2 {
		return n
	}
	e := bits.Len(uint(n)) - 1 // floor(log2 n)
	s := bits.Len(uint(e))     // floor(log2 e) + 1
	mask := 1<<(e-s) - 1
	return (n + mask) &^ mask
}

// padded is the length a frame of n bytes is padded to: the next Padmé size
// that a skippable frame, which has at least its own head, can reach.
func padded(n int) int {
	if p := Padme(n); p == n || p-n >= skippableHead {
		return p
	}
	return Padme(n + skippableHead)
}

// frame gives plain as one zstd frame with content size, padded. plain has at
// least one and at most protocol.MaxOpened bytes.
func frame(plain []byte) ([]byte, error) {
	if len(plain) == 0 {
		return nil, fmt.Errorf("%w: nothing to seal", protocol.ErrMalformed)
	}
	if len(plain) > protocol.MaxOpened {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(plain), protocol.MaxOpened)
	}
	out := encoder().EncodeAll(plain, make([]byte, 0, len(plain)/2+1024))
	if gap := padded(len(out)) - len(out); gap > 0 {
		out = binary.LittleEndian.AppendUint32(out, skippableMagic)
		out = binary.LittleEndian.AppendUint32(out, uint32(gap-skippableHead))
		out = append(out, make([]byte, gap-skippableHead)...)
	}
	return out, nil
}

// unframe is the inverse of frame and takes nothing else: one frame with a
// content size within bounds and no dictionary, then exactly the padding.
// Errors wrap protocol.ErrMalformed.
func unframe(data []byte) ([]byte, error) {
	end, size, err := frameEnd(data)
	if err != nil {
		return nil, err
	}
	if len(data) != padded(end) {
		return nil, fmt.Errorf("%w: a frame of %d bytes in %d, want %d", protocol.ErrMalformed, end, len(data), padded(end))
	}
	if err := zeroFrame(data[end:]); err != nil {
		return nil, err
	}
	plain, err := decoder().DecodeAll(data[:end], make([]byte, 0, size))
	if err != nil {
		return nil, fmt.Errorf("%w: %v", protocol.ErrMalformed, err)
	}
	if len(plain) != size {
		return nil, fmt.Errorf("%w: %d bytes where the frame says %d", protocol.ErrMalformed, len(plain), size)
	}
	return plain, nil
}

// frameEnd finds where the first frame of data ends and how many bytes it says
// it holds, without decompressing anything.
func frameEnd(data []byte) (end, size int, err error) {
	var h zstd.Header
	if err := h.Decode(data); err != nil {
		return 0, 0, fmt.Errorf("%w: no zstd frame: %v", protocol.ErrMalformed, err)
	}
	switch {
	case h.Skippable:
		return 0, 0, fmt.Errorf("%w: padding without content", protocol.ErrMalformed)
	case !h.HasFCS:
		return 0, 0, fmt.Errorf("%w: zstd frame without content size", protocol.ErrMalformed)
	case h.FrameContentSize == 0 || h.FrameContentSize > protocol.MaxOpened:
		return 0, 0, fmt.Errorf("%w: zstd frame of %d bytes, want 1 to %d", protocol.ErrMalformed, h.FrameContentSize, protocol.MaxOpened)
	case h.DictionaryID != 0:
		return 0, 0, fmt.Errorf("%w: zstd frame with a dictionary", protocol.ErrMalformed)
	case h.WindowSize > protocol.MaxOpened:
		return 0, 0, fmt.Errorf("%w: zstd window of %d bytes", protocol.ErrMalformed, h.WindowSize)
	}
	end, err = blocksEnd(data, h.HeaderSize, int(h.FrameContentSize))
	if err == nil && h.HasCheckSum {
		if end += 4; end > len(data) {
			err = fmt.Errorf("%w: zstd frame cut short", protocol.ErrMalformed)
		}
	}
	return end, int(h.FrameContentSize), err
}

// blocksEnd walks the blocks of a frame (RFC 8878 section 3.1.1.2) from pos. A
// frame needs no more blocks than it has bytes, or one if it were empty: more
// only waste a reader's time.
func blocksEnd(data []byte, pos, size int) (int, error) {
	for range size + 1 {
		if pos+3 > len(data) {
			return 0, fmt.Errorf("%w: zstd frame cut short", protocol.ErrMalformed)
		}
		head := int(data[pos]) | int(data[pos+1])<<8 | int(data[pos+2])<<16
		last, kind, length := head&1 == 1, head>>1&3, head>>3
		if kind == 3 || length > maxBlock {
			return 0, fmt.Errorf("%w: zstd block of kind %d and %d bytes", protocol.ErrMalformed, kind, length)
		}
		if pos += 3; kind == 1 {
			length = 1 // one byte, repeated
		}
		if pos += length; pos > len(data) {
			return 0, fmt.Errorf("%w: zstd frame cut short", protocol.ErrMalformed)
		}
		if last {
			return pos, nil
		}
	}
	return 0, fmt.Errorf("%w: zstd frame of too many blocks", protocol.ErrMalformed)
}

// zeroFrame checks that data is nothing, or one skippable frame of zeros.
func zeroFrame(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if len(data) < skippableHead || binary.LittleEndian.Uint32(data) != skippableMagic ||
		uint64(binary.LittleEndian.Uint32(data[4:])) != uint64(len(data)-skippableHead) {
		return fmt.Errorf("%w: something other than padding after the zstd frame", protocol.ErrMalformed)
	}
	for _, b := range data[skippableHead:] {
		if b != 0 {
			return fmt.Errorf("%w: padding that is not zero", protocol.ErrMalformed)
		}
	}
	return nil
}
