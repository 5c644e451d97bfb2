package tallystick.peer;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import tallystick.peer.Messages.History;
import tallystick.peer.Messages.Paid;
import tallystick.peer.Messages.Request;
import tallystick.peer.Messages.Step;

/** What is in force, and what it says of a payment: features, verdict, route, the meaning of an answer. */
final class Terms {
  private static final long MINUTE = 60_000_000L;
  private static final long HOUR = 60 * MINUTE;
  private static final long DAY = 24 * HOUR;
  /** Payments may come an hour late and still find the day before them. */
  private static final long KEPT = DAY + HOUR;

  private static final long MILLION = 1_000_000L;
  private static final List<String> VERDICTS = List.of("allow", "review", "block");
  private static final int BLOCK = 2;

  record Rule(String feature, long threshold, String verdict) {}

  record Merchant(String merchant, long maxAmount, @JsonProperty("card_count_24h") long cardCount24h) {}

  record Range(String low, String high, String brand) {}

  record Network(
      String network, List<String> brands, List<String> currencies, long costPpm, long costFixed, long successPpm) {}

  record Content(List<Rule> rules, List<Merchant> merchants, List<Range> bins, List<Network> networks) {}

  private final Content content;
  private final Map<String, Merchant> merchants = new HashMap<>();
  /** Ranges by their low end, for each length of prefix, longest first; those of one length do not overlap. */
  private final TreeMap<Integer, TreeMap<String, Range>> bins = new TreeMap<>((a, b) -> b - a);

  Terms(File file) throws IOException {
    content = Messages.JSON.readValue(file, Content.class);
    content.merchants().forEach(one -> merchants.put(one.merchant(), one));
    content.bins().forEach(one -> bins.computeIfAbsent(one.low().length(), n -> new TreeMap<>()).put(one.low(), one));
  }

  /** The history with a payment in it, and without what no window reaches. */
  static History remember(History history, Request request) {
    List<Paid> paid = history == null ? new ArrayList<>() : new ArrayList<>(history.paid());
    int place = paid.size();
    while (place > 0 && paid.get(place - 1).at() > request.occurredAt()) {
      place--;
    }
    paid.add(place, new Paid(request.occurredAt(), request.merchant(), request.currency(), request.amount()));
    long stale = paid.get(paid.size() - 1).at() - KEPT;
    paid.removeIf(one -> one.at() <= stale);
    return new History(paid);
  }

  /** The first step of a payment that the history already holds. */
  Step authorize(History history, Request request) {
    Merchant limits = merchants.get(request.merchant());
    Map<String, Long> found = features(history, request, limits.maxAmount());
    int verdict = 0;
    for (Rule rule : content.rules()) {
      if (found.get(rule.feature()) > rule.threshold()) {
        verdict = Math.max(verdict, VERDICTS.indexOf(rule.verdict()));
      }
    }
    if (limits.maxAmount() > 0 && request.amount() > limits.maxAmount()) {
      verdict = BLOCK;
    }
    if (limits.cardCount24h() > 0 && found.get("card_merchant_count_24h") > limits.cardCount24h()) {
      verdict = BLOCK;
    }
    Step step = Step.of(request, brand(request.bin()), VERDICTS.get(verdict));
    return verdict == BLOCK ? step.ended("declined", "risk_blocked", "", 0) : submission(step);
  }

  private static Map<String, Long> features(History history, Request request, long maxAmount) {
    long at = request.occurredAt();
    long count10m = 0, sum10m = 0, count1h = 0, count24h = 0, sum24h = 0, atMerchant = 0;
    for (Paid one : history.paid()) {
      if (one.at() <= at - DAY || one.at() > at) {
        continue;
      }
      long same = one.currency().equals(request.currency()) ? one.amount() : 0;
      count24h++;
      sum24h += same;
      atMerchant += one.merchant().equals(request.merchant()) ? 1 : 0;
      count1h += one.at() > at - HOUR ? 1 : 0;
      if (one.at() > at - 10 * MINUTE) {
        count10m++;
        sum10m += same;
      }
    }
    Map<String, Long> found = new HashMap<>();
    found.put("card_count_10m", count10m);
    found.put("card_sum_10m", sum10m);
    found.put("card_count_1h", count1h);
    found.put("card_count_24h", count24h);
    found.put("card_sum_24h", sum24h);
    found.put("card_merchant_count_24h", atMerchant);
    found.put("merchant_amount_percent", maxAmount > 0 ? request.amount() * 100 / maxAmount : 0);
    return found;
  }

  private String brand(String digits) {
    for (var block : bins.entrySet()) {
      if (digits.length() < block.getKey()) {
        continue;
      }
      String prefix = digits.substring(0, block.getKey());
      var below = block.getValue().floorEntry(prefix);
      if (below != null && below.getValue().high().compareTo(prefix) >= 0) {
        return below.getValue().brand();
      }
    }
    return "";
  }

  /** On to the cheapest network that was not tried yet; an outcome where there is none. */
  private Step submission(Step step) {
    Network best = null;
    long least = 0;
    for (Network network : content.networks()) {
      if (!network.brands().contains(step.brand())
          || !network.currencies().contains(step.currency())
          || step.tried().contains(network.network())) {
        continue;
      }
      long cost = expectedCost(step.amount(), network);
      if (best == null || cost < least || (cost == least && network.network().compareTo(best.network()) < 0)) {
        best = network;
        least = cost;
      }
    }
    if (best == null) {
      return step.ended("declined", "no_route", "", 0);
    }
    List<String> tried = new ArrayList<>(step.tried());
    tried.add(best.network());
    return step.submitted(best.network(), tried);
  }

  private static long expectedCost(long amount, Network network) {
    long whole = amount * network.costPpm();
    long share = whole / MILLION;
    long rest = whole % MILLION;
    if (rest * 2 > MILLION || (rest * 2 == MILLION && (share & 1) == 1)) {
      share++;
    }
    return -Math.floorDiv(-(share + network.costFixed()) * MILLION, network.successPpm());
  }

  /** What a network's answer means: an outcome, or the next submission where it was never sent. */
  Step answer(Step reply) {
    if (!reply.sent()) {
      return submission(reply);
    }
    String code = reply.responseCode();
    if (code.isEmpty()) {
      return reply.ended("unknown", "", reply.network(), 0);
    }
    // Of what somebody approves in another currency, nothing can be on hold.
    boolean meant = reply.currency().equals(reply.approvedCurrency());
    if ((code.equals("00") || code.equals("10")) && reply.approvedAmount() > 0 && meant) {
      return reply.ended("authorized", code, reply.network(), Math.min(reply.approvedAmount(), reply.amount()));
    }
    return reply.ended("declined", code, reply.network(), 0);
  }
}
