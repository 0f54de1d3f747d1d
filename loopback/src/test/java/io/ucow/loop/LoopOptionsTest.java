package io.ucow.loop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LoopOptionsTest {
    @Test
    void defaultsAreDirectAndNothingElse() {
        assertThat(LoopOptions.defaults()).isEqualTo(new LoopOptions(false, true, false, 0, false));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 512, 1024, 4096, 65536})
    void sectorSizesOfTheKernelAreTaken(int sectorBytes) {
        assertThat(LoopOptions.defaults().withSectorBytes(sectorBytes).sectorBytes())
                .isEqualTo(sectorBytes);
    }

    @ParameterizedTest
    @ValueSource(ints = {-512, 1, 256, 513, 1536, 131072, Integer.MIN_VALUE})
    void otherSectorSizesAreRefused(int sectorBytes) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> LoopOptions.defaults().withSectorBytes(sectorBytes))
                .withMessageContaining("sector size " + sectorBytes);
    }

    @Test
    void eachWithChangesItsOptionAlone() {
        LoopOptions options = LoopOptions.defaults();

        assertThat(options.withReadOnly(true)).isEqualTo(new LoopOptions(true, true, false, 0, false));
        assertThat(options.withDirectIo(false)).isEqualTo(new LoopOptions(false, false, false, 0, false));
        assertThat(options.withPartitionScan(true)).isEqualTo(new LoopOptions(false, true, true, 0, false));
        assertThat(options.withSectorBytes(4096)).isEqualTo(new LoopOptions(false, true, false, 4096, false));
        assertThat(options.withAutoclear(true)).isEqualTo(new LoopOptions(false, true, false, 0, true));
    }
}
