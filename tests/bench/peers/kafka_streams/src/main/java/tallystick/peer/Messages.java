package tallystick.peer;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** What travels on the topics and rests in the stores, as JSON. Amounts in minor units, times in microseconds UTC. */
final class Messages {
  static final ObjectMapper JSON =
      new ObjectMapper()
          .setPropertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
          .setSerializationInclusion(JsonInclude.Include.NON_NULL)
          .configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false);

  private Messages() {}

  record Request(
      String merchant,
      String idempotencyKey,
      String cardId,
      String bin,
      long amount,
      String currency,
      long occurredAt) {
    String payment() {
      return merchant + "/" + idempotencyKey;
    }
  }

  /** A payment behind its verdict: on its way to a network, back from there, or at its end. */
  record Step(
      String type,
      String payment,
      String merchant,
      String cardId,
      String brand,
      Long amount,
      String currency,
      String verdict,
      List<String> tried,
      String network,
      Integer attempt,
      Boolean sent,
      String responseCode,
      Long approvedAmount,
      String approvedCurrency,
      String outcome,
      String reason,
      Long approved) {
    boolean isSubmission() {
      return type.equals("submission");
    }

    static Step of(Request request, String brand, String verdict) {
      return new Step("verdict", request.payment(), request.merchant(), request.cardId(), brand, request.amount(),
          request.currency(), verdict, List.of(), null, null, null, null, null, null, null, null, null);
    }

    Step submitted(String to, List<String> triedNow) {
      return new Step("submission", payment, merchant, cardId, brand, amount, currency, verdict, triedNow, to,
          triedNow.size(), null, null, null, null, null, null, null);
    }

    Step ended(String how, String why, String by, long held) {
      return new Step("outcome", payment, merchant, null, null, null, currency, verdict, null, by, null, null, null,
          null, null, how, why, held);
    }
  }

  record Refusal(String payment, String reason) {}

  record Paid(long at, String merchant, String currency, long amount) {}

  /** A card's payments, in order of time. */
  record History(List<Paid> paid) {}

  static <T> Serde<T> serde(Class<T> type) {
    return Serdes.serdeFrom(
        (topic, value) -> {
          try {
            return value == null ? null : JSON.writeValueAsBytes(value);
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        },
        (topic, bytes) -> {
          try {
            return bytes == null ? null : JSON.readValue(bytes, type);
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        });
  }
}
