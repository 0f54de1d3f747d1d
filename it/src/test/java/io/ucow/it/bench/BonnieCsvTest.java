package io.ucow.it.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class BonnieCsvTest {
    private static final String HEAD = "1.98,2.00a,xx,1,1795386926,128M,,8192,5,";
    private static final String LATENCIES = ",4075us,74651us,27us,2379us,18us,4585us,80us,168us,158us,50us,22us,46us\n";

    private static Map<String, Double> rates(String line) throws IOException {
        return BonnieCsv.parse(line).entrySet().stream()
                .collect(Collectors.toMap(
                        e -> e.getKey().name() + " " + e.getKey().unit().label(),
                        e -> e.getValue().rate()));
    }

    @Test
    void everyRateIsFoundInItsColumn() throws IOException {
        String line = HEAD + "11,99,22,98,33,97,44,96,55,95,66.5,94,16,,,,,71,1,72,2,73,3,74,4,75,5,76,6" + LATENCIES;

        assertThat(rates("Using uid:0, gid:0.\n" + line))
                .containsOnly(
                        Map.entry("bonnie-putc KiB/s", 11.0),
                        Map.entry("bonnie-put-block KiB/s", 22.0),
                        Map.entry("bonnie-rewrite KiB/s", 33.0),
                        Map.entry("bonnie-getc KiB/s", 44.0),
                        Map.entry("bonnie-get-block KiB/s", 55.0),
                        Map.entry("bonnie-seeks IOPS", 66.5),
                        Map.entry("bonnie-seq-create files/s", 71.0),
                        Map.entry("bonnie-seq-stat files/s", 72.0),
                        Map.entry("bonnie-seq-del files/s", 73.0),
                        Map.entry("bonnie-ran-create files/s", 74.0),
                        Map.entry("bonnie-ran-stat files/s", 75.0),
                        Map.entry("bonnie-ran-del files/s", 76.0));
    }

    /** A line that bonnie++ 2.00a printed. */
    @Test
    void testsThatWereTooQuickAreMissing() throws IOException {
        String line = HEAD
                + "3155,99,+++++,+++,+++++,+++,5997,99,+++++,+++,+++++,+++,4,,,,,+++++,+++,+++++,+++,+++++,+++,"
                + "+++++,+++,+++++,+++,+++++,+++"
                + LATENCIES;

        assertThat(rates(line))
                .containsOnly(Map.entry("bonnie-putc KiB/s", 3155.0), Map.entry("bonnie-getc KiB/s", 5997.0));
    }

    @Test
    void otherFormatsAreRefused() {
        for (String line : new String[] {"", "1.96,1.97,xx", HEAD, HEAD.replace("1.98", "3.0")}) {
            assertThatThrownBy(() -> BonnieCsv.parse(line))
                    .as(line)
                    .isInstanceOf(IOException.class)
                    .hasMessageStartingWith("not a CSV line of bonnie++");
        }
        assertThatThrownBy(() -> BonnieCsv.parse(HEAD + "fast" + ",1".repeat(40)))
                .isInstanceOf(IOException.class)
                .hasMessageStartingWith("'fast' is not a rate");
    }
}
