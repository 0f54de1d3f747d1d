package io.ucow.cli;

import io.ucow.store.CacheMode;
import java.util.Arrays;
import java.util.stream.Collectors;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads {@code writeback} and the like for picocli, whose own words for a mistake have the constants' names. */
final class CacheModeConverter implements ITypeConverter<CacheMode> {
    @Override
    public CacheMode convert(String text) {
        return Arrays.stream(CacheMode.values())
                .filter(mode -> mode.toString().equalsIgnoreCase(text))
                .findFirst()
                .orElseThrow(() -> new TypeConversionException("'" + text + "' is no cache mode; there are "
                        + Arrays.stream(CacheMode.values())
                                .map(CacheMode::toString)
                                .collect(Collectors.joining(", "))));
    }
}
