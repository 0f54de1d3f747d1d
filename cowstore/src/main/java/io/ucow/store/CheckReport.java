package io.ucow.store;

import java.util.List;

/**
 * What {@code check} found.
 *
 * @param corruptions one line each, naming the file, the place, what was found and what was expected
 * @param leakedBytes storage that nothing refers to; harmless
 * @param checkedChunks remaps that were looked at
 */
public record CheckReport(List<String> corruptions, long leakedBytes, long checkedChunks) {
    public CheckReport {
        corruptions = List.copyOf(corruptions);
    }

    /** True when the image can be used as it is; leaks do no harm. */
    public boolean isSound() {
        return corruptions.isEmpty();
    }
}
