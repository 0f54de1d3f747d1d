package io.ucow.store.remap;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class BlocksTest {
    @ParameterizedTest
    @CsvSource({"12, 4096, 1", "13, 4096, 3", "15, 4096, 255", "16, 4096, 65535", "17, 8192, 65535", "20, 65536, 65535"
    })
    void finestCutIsSixteenBlocksOrPages(int chunkShift, int blockSize, int all) {
        Blocks blocks = Blocks.finest(chunkShift);
        assertThat(blocks.blockSize()).isEqualTo(blockSize);
        assertThat(blocks.all()).isEqualTo(all);
    }

    @Test
    void moreThanSixteenOrLessThanOneAreRefused() {
        assertThat(new Blocks(16, 16).all()).isEqualTo(1);
        assertThatThrownBy(() -> new Blocks(16, 17)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new Blocks(16, 11)).isInstanceOf(IllegalArgumentException.class);
    }

    /** Every range and every mask of a small cut, against a block at a time. */
    @ParameterizedTest
    @ValueSource(ints = {4, 3, 2, 0})
    void masksAreThoseOfABlockAtATime(int countShift) {
        int blockShift = 2;
        Blocks blocks = new Blocks(blockShift + countShift, blockShift);
        int size = 4 << countShift;
        for (int from = 0; from < size; from++) {
            for (int to = from + 1; to <= size; to++) {
                int touched = 0;
                for (int i = from; i < to; i++) {
                    touched |= 1 << (i / 4);
                }
                assertThat(blocks.touched(from, to)).isEqualTo(touched);
                assertThat(blocks.startOf(from)).isEqualTo(from / 4 * 4);
                assertThat(blocks.endOf(to)).isEqualTo((to + 3) / 4 * 4);
                assertThat(blocks.contains(touched, from)).isTrue();
            }
        }
        for (int mask = 0; mask <= blocks.all(); mask++) {
            int held = 0;
            for (int from = 0; from < size; from++) {
                boolean in = blocks.contains(mask, from);
                int end = from;
                while (end < size && blocks.contains(mask, end) == in) {
                    end++;
                }
                assertThat(blocks.runEnd(mask, from))
                        .as("mask 0x%x from %d", mask, from)
                        .isEqualTo(end);
                held = in ? held : from + 1;
            }
            assertThat(blocks.endOfHeld(mask)).isEqualTo(held);
        }
    }
}
