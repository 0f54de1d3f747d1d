package io.ucow.it.bench;

/**
 * One row of the tables.
 *
 * @param name unique
 * @param unit of its rates
 * @param job the {@linkplain Job#name name} of the job that gives it: the same unless that gives several
 */
record Metric(String name, Unit unit, String job) {}
