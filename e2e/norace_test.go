//go:build !race

package e2e

// raced tells that this runs with the race detector.
const raced = false
