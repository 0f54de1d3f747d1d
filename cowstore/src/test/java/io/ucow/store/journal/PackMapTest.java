package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.remap.RemapEntry;
import java.io.IOException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Random packed chunks come and go, beside a set of sectors that says the same. */
class PackMapTest {
    private static final int SLOTS = 40;
    private static final int FIRST = 3;
    private static final int SECTOR = 512;
    private static final int BLOCK_SECTORS = 8;

    @ParameterizedTest
    @ValueSource(ints = {14, 15, 20})
    void whatIsFreeIsToldOnceAndInTime(int shift) throws IOException {
        Random random = new Random(shift);
        int slotSectors = 1 << (shift - 9);
        BitSet model = new BitSet();
        List<Long> live = new ArrayList<>();
        try (PackMap packs = new PackMap(FIRST, SLOTS, shift)) {
            for (int i = 0; i < 3000; i++) {
                if (random.nextInt(100) < 55) {
                    int length = 1 + random.nextInt(slotSectors - 1);
                    int from = random.nextInt(SLOTS * slotSectors - length);
                    long entry = RemapEntry.packed((long) (FIRST * slotSectors + from) * SECTOR, length * SECTOR);
                    boolean free = model.nextSetBit(from) < 0 || model.nextSetBit(from) >= from + length;
                    assertThat(packs.isTaken(entry)).isEqualTo(!free);
                    if (free) {
                        assertThat(packs.take(entry)).isTrue();
                        model.set(from, from + length);
                        live.add(entry);
                    }
                } else if (!live.isEmpty()) {
                    release(packs, live.remove(random.nextInt(live.size())), model, slotSectors);
                }
                int slot = random.nextInt(SLOTS);
                int used =
                        model.get(slot * slotSectors, (slot + 1) * slotSectors).cardinality();
                assertThat(packs.isPack(FIRST + slot)).isEqualTo(used > 0);
            }
            assertThat(live).isNotEmpty();
            BitSet unused = new BitSet();
            packs.forEachUnusedBlocks((offset, length) -> addBlocks(offset, length, slotSectors, unused));
            assertThat(unused).isEqualTo(unusedBlocks(model, slotSectors, 0, SLOTS * slotSectors));
            for (long entry : live) {
                assertThat(packs.take(entry)).isFalse();
            }
        }
    }

    private static void release(PackMap packs, long entry, BitSet model, int slotSectors) {
        int from = (int) (RemapEntry.packedOffset(entry) / SECTOR) - FIRST * slotSectors;
        int to = from + RemapEntry.packedBytes(entry) / SECTOR;
        model.clear(from, to);
        BitSet slots = new BitSet();
        BitSet blocks = new BitSet();
        packs.release(entry, new PackMap.Visitor() {
            @Override
            public void slot(long slot) {
                assertThat(slots.get((int) slot - FIRST)).isFalse();
                slots.set((int) slot - FIRST);
            }

            @Override
            public void blocks(long storeOffset, long lengthBytes) {
                addBlocks(storeOffset, lengthBytes, slotSectors, blocks);
            }
        });
        BitSet expected = new BitSet();
        for (int slot = from / slotSectors; slot <= (to - 1) / slotSectors; slot++) {
            if (model.get(slot * slotSectors, (slot + 1) * slotSectors).isEmpty()) {
                expected.set(slot);
            }
        }
        assertThat(slots).isEqualTo(expected);
        int first = from & -BLOCK_SECTORS;
        int end = (to + BLOCK_SECTORS - 1) & -BLOCK_SECTORS;
        assertThat(blocks).isEqualTo(unusedBlocks(model, slotSectors, first, end));
    }

    private static void addBlocks(long offset, long length, int slotSectors, BitSet blocks) {
        assertThat(offset % 4096).isZero();
        assertThat(length % 4096).isZero();
        int from = (int) (offset / SECTOR) - FIRST * slotSectors;
        for (int at = from; at < from + length / SECTOR; at++) {
            assertThat(blocks.get(at)).isFalse();
            blocks.set(at);
        }
    }

    /** Sectors of blocks without a used sector, in slots that have one. */
    private static BitSet unusedBlocks(BitSet model, int slotSectors, int from, int to) {
        BitSet unused = new BitSet();
        for (int at = from; at < to; at += BLOCK_SECTORS) {
            int slot = at / slotSectors;
            if (model.get(at, at + BLOCK_SECTORS).isEmpty()
                    && !model.get(slot * slotSectors, (slot + 1) * slotSectors).isEmpty()) {
                unused.set(at, at + BLOCK_SECTORS);
            }
        }
        return unused;
    }
}
