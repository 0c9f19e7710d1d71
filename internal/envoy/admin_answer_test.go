package envoy

import (
	"strings"
	"testing"
)

func TestAnAnswerIsBounded(t *testing.T) {
	if body, err := readAtMost(strings.NewReader("1234"), 4); string(body) != "1234" || err != nil {
		t.Errorf("an answer that fits is %q (%v)", body, err)
	}
	body, err := readAtMost(strings.NewReader("12345"), 4)
	if body != nil || err == nil || !strings.Contains(err.Error(), "larger than 4 bytes") {
		t.Errorf("an answer that is too large is %q (%v)", body, err)
	}
}

func FuzzStats(f *testing.F) {
	f.Add([]byte(`{"stats":[{"name":"a","value":1},{"histograms":{}},{"name":"b","value":"text"}]}`))
	f.Add([]byte(`{"stats":[{"name":"n","value":-1},{"name":"","value":1}]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		stats, err := statsIn(body)
		if err != nil && stats != nil {
			t.Errorf("%q: statistics %v beside the error %v", body, stats, err)
		}
		if _, unnamed := stats[""]; unnamed {
			t.Errorf("%q: a statistic without a name", body)
		}
	})
}

func FuzzVersion(f *testing.F) {
	f.Add("9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL")
	f.Add("version: 9e558093/1.41.0-dev/Modified/DEBUG/BoringSSL")
	f.Add("ls (GNU coreutils) 9.1")
	f.Fuzz(func(t *testing.T, text string) {
		version := versionIn(text)
		if !strings.Contains(text, version) || version != "" && versionIn("00000000/"+version+"/Clean") != version {
			t.Errorf("in %q the version is %q", text, version)
		}
	})
}
