package io.ucow.store.table;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;

/** Valid tables of every kind, for property tests. */
final class RandomTables {
    private static final String ALPHABET = " \t#\\:-.é8a";

    private RandomTables() {}

    /** One to four devices that share stores. */
    static List<DeviceTable> next(Random random) {
        List<Target.Cow> stores = new ArrayList<>();
        for (int i = 0; i <= random.nextInt(3); i++) {
            Optional<Path> base = random.nextBoolean() ? Optional.empty() : Optional.of(path(random, "base"));
            int chunk = Target.Cow.MIN_CHUNK_SECTORS << random.nextInt(9);
            stores.add(new Target.Cow(0, 1, 0, i + word(random), base, path(random, "store" + i), chunk));
        }
        List<DeviceTable> tables = new ArrayList<>();
        for (int i = 0; i <= random.nextInt(4); i++) {
            tables.add(new DeviceTable(i + word(random), targets(random, stores)));
        }
        return tables;
    }

    private static List<Target> targets(Random random, List<Target.Cow> stores) {
        List<Target> targets = new ArrayList<>();
        long start = 0;
        for (int n = random.nextInt(8); n >= 0; n--) {
            long length = Target.Cow.MAX_CHUNK_SECTORS * (1L + random.nextInt(1 << 20));
            length -= n == 0 ? random.nextInt(2000) : 0;
            targets.add(
                    switch (random.nextInt(4)) {
                        case 0 -> new Target.Zero(start, length, 0);
                        case 1 -> new Target.Linear(start, length, 0, path(random, "dev"), random.nextLong(1L << 50));
                        default -> stores.get(random.nextInt(stores.size())).at(start, length);
                    });
            start += length;
        }
        return targets;
    }

    private static Path path(Random random, String name) {
        return Path.of("/" + name + word(random), "x" + word(random));
    }

    private static String word(Random random) {
        StringBuilder word = new StringBuilder();
        for (int n = random.nextInt(6); n > 0; n--) {
            word.append(ALPHABET.charAt(random.nextInt(ALPHABET.length())));
        }
        return word.toString();
    }
}
