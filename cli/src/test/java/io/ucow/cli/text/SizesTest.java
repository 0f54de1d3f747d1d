package io.ucow.cli.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SizesTest {
    @ParameterizedTest
    @CsvSource({
        "1, 1",
        "65536, 65536",
        "512b, 512",
        "64K, 65536",
        "64k, 65536",
        "1.5k, 1536",
        "20G, 21474836480",
        "2t, 2199023255552",
        "1P, 1125899906842624",
        "7E, 8070450532247928832",
        "0.5G, 536870912",
        "9223372036854775807, 9223372036854775807"
    })
    void readsWhatQemuImgReads(String text, long bytes) {
        assertThat(Sizes.parse(text)).isEqualTo(bytes);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "K", "-1", "+1", "1KB", "1KiB", "10X", "1,5G", "1.G", ".5G", "0x10", "1e3", "1 G", "٣"})
    void refusesWhatIsNoSize(String text) {
        assertThatThrownBy(() -> Sizes.parse(text))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("'" + text + "' is not a size");
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "0G", "0.3", "1.0001K", "8E", "9223372036854775808", "99999999999999999999T"})
    void refusesSizesThatNothingCanHave(String text) {
        assertThatThrownBy(() -> Sizes.parse(text))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("'" + text + "' is ");
    }

    @ParameterizedTest
    @CsvSource({
        "0, 0 B",
        "1023, 1023 B",
        "1024, 1 KiB",
        "1536, 1.50 KiB",
        "65536, 64 KiB",
        "1048575, 1024 KiB",
        "21474836480, 20 GiB",
        "15728641, 15.0 MiB",
        "4259840, 4.06 MiB",
        "9223372036854775807, 8.00 EiB"
    })
    void formatsForPeople(long bytes, String text) {
        assertThat(Sizes.format(bytes)).isEqualTo(text);
    }
}
