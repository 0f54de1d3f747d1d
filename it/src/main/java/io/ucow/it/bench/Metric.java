package io.ucow.it.bench;

/**
 * One row of the tables: a fio job, or one column of bonnie++.
 *
 * @param name unique
 * @param unit of its rates
 */
record Metric(String name, Unit unit) {}
