package io.ucow.it.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import org.junit.jupiter.api.Test;

class FioOutputTest {
    /** As fio 3.33 prints it, with what is not read left out. */
    private static String output(int error, double readIops, double writeIops, String sync) {
        return """
                {"fio version":"fio-3.33","jobs":[{"jobname":"x","error":%d,
                 "read":{"iops":%s,"bw_bytes":3000000,"clat_ns":{"percentile":{"50.000000":7000,"99.000000":90000}}},
                 "write":{"iops":%s,"bw_bytes":500000,"clat_ns":{"percentile":{"50.000000":8000,"99.000000":80000}}},
                 "sync":{"lat_ns":{%s}}}]}
                """.formatted(error, readIops, writeIops, sync);
    }

    @Test
    void iopsAreReadsAndWritesTogether() throws IOException {
        assertThat(FioOutput.parse(output(0, 700.5, 300, ""), Unit.IOPS).rate()).isEqualTo(1000.5);
    }

    @Test
    void megabytesAreDecimal() throws IOException {
        assertThat(FioOutput.parse(output(0, 1, 1, ""), Unit.MEGABYTES).rate()).isEqualTo(3.5);
    }

    @Test
    void latenciesAreThoseOfTheSlowestKind() throws IOException {
        Sample mixed = FioOutput.parse(output(0, 1, 1, ""), Unit.IOPS);
        assertThat(mixed.p50Micros()).hasValue(8);
        assertThat(mixed.p99Micros()).hasValue(90);

        String sync = "\"percentile\":{\"50.000000\":30000,\"99.000000\":700000}";
        Sample synced = FioOutput.parse(output(0, 1, 1, sync), Unit.IOPS);
        assertThat(synced.p50Micros()).hasValue(30);
        assertThat(synced.p99Micros()).hasValue(700);
    }

    @Test
    void jobThatFailedOrDidNothingIsRefused() {
        assertThatThrownBy(() -> FioOutput.parse(output(5, 1, 1, ""), Unit.IOPS))
                .isInstanceOf(IOException.class)
                .hasMessage("fio reports errno 5");
        assertThatThrownBy(() -> FioOutput.parse(output(0, 0, 0, ""), Unit.IOPS))
                .isInstanceOf(IOException.class)
                .hasMessage("fio did nothing");
    }

    @Test
    void otherTextIsRefused() {
        for (String text : new String[] {"", "fio: bad option", "{}", "{\"jobs\":[]}"}) {
            assertThatThrownBy(() -> FioOutput.parse(text, Unit.IOPS))
                    .as(text)
                    .isInstanceOf(IOException.class)
                    .hasMessageStartingWith("not what fio prints as JSON");
        }
    }
}
