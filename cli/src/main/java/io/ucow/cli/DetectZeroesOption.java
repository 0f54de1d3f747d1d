package io.ucow.cli;

import java.util.Arrays;
import java.util.Locale;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/** {@code --detect-zeroes}, for the verbs that mount. */
final class DetectZeroesOption {
    /** QEMU's three words. */
    private enum Word {
        OFF,
        ON,
        UNMAP
    }

    @Option(
            names = "--detect-zeroes",
            paramLabel = "WHEN",
            defaultValue = "off",
            converter = Converter.class,
            description = {
                "As in QEMU: off, on or unmap. With on, chunks that are written as zeros take no space."
                        + " unmap is the same here: zeroing a chunk gives its space back as discarding it does."
                        + " Default: ${DEFAULT-VALUE}."
            })
    private Word word;

    boolean isOn() {
        return word != Word.OFF;
    }

    /** Reads them for picocli, whose own words for a mistake have the constants' names. */
    static final class Converter implements ITypeConverter<Word> {
        @Override
        public Word convert(String text) {
            return Arrays.stream(Word.values())
                    .filter(word -> word.name().toLowerCase(Locale.ROOT).equals(text))
                    .findFirst()
                    .orElseThrow(() -> new TypeConversionException("'" + text + "' is not one of off, on, unmap"));
        }
    }
}
