"""Planning: what the extraction of so many clips takes in time, storage and money, from what fewer took."""

from eri.planning.estimate import Bound, ExtractorPlan, Plan, plan_extraction
from eri.planning.measuring import choose_rates, group_rates, measure_rates, stored_rates

__all__ = [
    "Bound",
    "ExtractorPlan",
    "Plan",
    "choose_rates",
    "group_rates",
    "measure_rates",
    "plan_extraction",
    "stored_rates",
]
